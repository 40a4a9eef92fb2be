//! `impl Object`: the class's description, its birth, its hook, and the probes that its types are
//! checked by.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::Type;

use super::stub::{Shape, shape};
use super::{alarm, at, codec, dispatch, hook, kin, migrate, named, place};
use crate::model::{Access, Birth, Class, Method, TableMigration, compact};
use crate::names;

pub(super) fn object(class: &Class) -> TokenStream {
    let Class { private, ty, stub, call, reply, .. } = class;
    let spec = spec(class);
    let key = class.key.as_ref().map_or_else(|| quote!(#private::Name), |key| quote!(#key));
    let method = method_of(class);
    let create = create(class);
    let (on_activate, alarm) = (on_activate(class), alarm::handler(class));
    let hear = kin::hear(class);
    let alarmed = alarm::marker(class);
    let migrate = migrate::migrate(class);
    let dispatchers = dispatch::dispatchers(class);
    let (functions, codec) = (codec::functions(class), codec::codec(class));
    let (expose, exposed) = (named::expose(class), named::exposed(class));
    let probes = probes(class);
    let given = names::local("call");
    // Both words of the header stand at the user's type: a type that is not durable state is
    // reported once, there.
    let here = place(ty);
    let (private_here, ty_here) = (at(private, here), at(&ty.to_token_stream(), here));
    let header = quote_spanned!(here=> impl #private_here::Object for #ty_here);
    quote! {
        #[allow(deprecated, unreachable_patterns, private_interfaces)]
        #[allow(clippy::all, clippy::pedantic)]
        const _: () = {
            #header {
                const CLASS: #private::ClassSpec = #spec;
                type Key = #key;
                type Call = #call;
                type Reply = #reply;
                type Stub = #stub;

                fn method(#given: &Self::Call) -> &'static #private::MethodSpec {
                    method_of(#given)
                }

                #create
                #on_activate
                #alarm
                #hear
                #migrate
                #dispatchers
                #functions
                #expose
            }

            #alarmed
            #method
            #codec
            #exposed
            #probes
        };
    }
}

fn spec(class: &Class) -> TokenStream {
    let Class { private, name, version, .. } = class;
    let methods = class.methods.iter().map(|method| {
        let cfgs = &method.cfgs;
        let spec = method_spec(class, method);
        quote!(#(#cfgs)* #spec)
    });
    let version = (*version != 1).then(|| quote!(.version(#version)));
    let idle = class.idle_ms.map(|idle_ms| quote!(.idle_ms(#idle_ms)));
    let relaxed = class.is_relaxed.then(|| quote!(.relaxed()));
    let tables = tables(class);
    let history = class.keeps_history.then(|| quote!(.history()));
    let alarm = alarm::spec(class);
    let kin = kin::spec(class);
    let turn_limit = class.turn_limit_ms.map(|limit_ms| quote!(.turn_limit_ms(#limit_ms)));
    let keep = class.keep_results_ms.map(|keep_ms| quote!(.keep_results_ms(#keep_ms)));
    let rate = class.rate.map(
        |(calls, period_ms, burst)| quote!(.rate(#private::Rate::new(#calls, #period_ms, #burst))),
    );
    let in_flight = class.in_flight.map(|calls| quote!(.in_flight(#calls)));
    let on_crash = class.closes_sockets.then(|| quote!(.crash_closes_sockets()));
    let bounds = quote!(#turn_limit #keep #rate #in_flight);
    let settings = quote!(#version #idle #relaxed #bounds #history #on_crash #tables #alarm #kin);
    quote!(#private::ClassSpec::new(#name, &[#(#methods),*])#settings)
}

/// The text of each file is included by rustc, which then compiles anew when it changes.
fn tables(class: &Class) -> Option<TokenStream> {
    let Class { private, tables, .. } = class;
    let migration = tables.iter().map(|TableMigration { number, name, path }| {
        quote! {
            #private::Migration {
                number: #number,
                name: #name,
                sql: ::core::include_str!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), #path)),
            }
        }
    });
    (!tables.is_empty()).then(|| quote!(.migrations(&[#(#migration),*])))
}

fn method_spec(class: &Class, method: &Method) -> TokenStream {
    let private = &class.private;
    let Method { wire_name, is_async, .. } = method;
    let timeout = method.timeout_ms.map(|timeout_ms| quote!(.timeout_ms(#timeout_ms)));
    let is_read = method.access == Access::Read;
    let reentrant = (method.is_reentrant && is_read).then(|| quote!(.reentrant()));
    let access = match method.access {
        Access::Read => quote!(Read),
        Access::Write => quote!(Write),
    };
    let args: Vec<_> = method.args.iter().map(|arg| written(&arg.ty)).collect();
    let args = args.join(", ");
    let returns = match (&method.item, &method.output) {
        (Some(item), _) => format!("impl Stream<Item = {}>", written(item)),
        (None, Some(output)) => written(output),
        (None, None) => "()".to_owned(),
    };
    let streams = method.item.as_ref().map(|_| quote!(.streams()));
    quote! {
        #private::MethodSpec::new(#wire_name, #private::Access::#access, #is_async)
            .typed(#args, #returns) #timeout #reentrant #streams
    }
}

/// A type as a person would write it.
fn written(ty: &Type) -> String {
    compact(ty).replace(',', ", ").replace(';', "; ")
}

fn method_of(class: &Class) -> TokenStream {
    let Class { private, call, .. } = class;
    let given = names::local("call");
    let arms = class.methods.iter().map(|method| {
        let Method { cfgs, variant, .. } = method;
        let spec = method_spec(class, method);
        quote!(#(#cfgs)* #call::#variant { .. } => const { &#spec },)
    });
    quote! {
        fn method_of(#given: &#call) -> &'static #private::MethodSpec {
            match *#given { #(#arms)* }
        }
    }
}

fn create(class: &Class) -> TokenStream {
    let Class { private, ty, .. } = class;
    let cx = names::local("cx");
    let body = match &class.birth {
        Birth::Default => {
            let span = place(ty);
            let private = at(private, span);
            quote_spanned!(span=> #private::Probe::<#ty>::first())
        }
        Birth::Init(init) => {
            let ident = &init.ident;
            let arg = init.has_context.then_some(&cx);
            quote_spanned!(place(ident)=> Self::#ident(#arg))
        }
        Birth::Broken => quote!(::core::unreachable!()),
    };
    quote! {
        fn create(#cx: &#private::Context<'_, Self>) -> Self {
            let _ = #cx;
            #body
        }
    }
}

fn on_activate(class: &Class) -> Option<TokenStream> {
    let private = &class.private;
    let hook = class.on_activate.as_ref()?;
    let cfgs = &hook.cfgs;
    let cx = names::local("cx");
    let run = hook::run(class, hook, "Activated", &cx, &cx);
    Some(quote! {
        #(#cfgs)*
        fn on_activate<'t>(
            &'t mut self,
            #cx: &'t mut #private::Context<'_, Self>,
        ) -> ::core::option::Option<
            #private::BoxFuture<'t, ::core::result::Result<(), ::std::string::String>>,
        > {
            let _ = &#cx;
            ::core::option::Option::Some(#run)
        }
    })
}

/// Asks rustc about every type that crosses a call, at the place where the user wrote it.
fn probes(class: &Class) -> TokenStream {
    let private = &class.private;
    let probes = class.methods.iter().map(|method| {
        let cfgs = &method.cfgs;
        let args = method.args.iter().map(|arg| &arg.ty);
        let results = match method.output.as_ref().map(|ty| (ty, shape(ty))) {
            None => Vec::new(),
            Some((_, Shape::Result(ok, error))) => vec![ok, error],
            Some((ty, _)) => vec![ty],
        };
        let types = args.chain(results);
        quote!(#(#cfgs)* { #(crosses::<#types>();)* })
    });
    quote! {
        fn crosses<T: #private::Wire>() {}

        #[allow(dead_code)]
        fn probes() {
            #(#probes)*
        }
    }
}
