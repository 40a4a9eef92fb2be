//! The alarm's handler: what the class says of it, the function that runs it, and the mark that lets its turns set alarms.

use proc_macro2::TokenStream;
use quote::quote;

use super::hook;
use crate::model::{AlarmOptions, Class, Hook};
use crate::names;

/// What the class says of runs that nobody calls: of its schedules, and of its handlers, each under its `cfg`.
pub(super) fn spec(class: &Class) -> TokenStream {
    let private = &class.private;
    let AlarmOptions { retries, delay_ms, limit_ms } = class.alarm_options;
    let retries = retries.map(|retries| quote!(.retries(#retries)));
    let delay = delay_ms.map(|delay_ms| quote!(.delay_ms(#delay_ms)));
    let limit = limit_ms.map(|limit_ms| quote!(.limit_ms(#limit_ms)));
    let said = quote!(#private::AlarmSpec::new() #retries #delay #limit);
    let given = class.alarms.iter().map(|Hook { cfgs, .. }| {
        // A list's elements can stand under a `cfg`; at most one of these is there.
        quote!(#(#cfgs)* #said)
    });
    let is_said = [&retries, &delay, &limit].into_iter().any(Option::is_some);
    let schedules = is_said.then(|| quote!(.schedules(#said)));
    let alarms = (!class.alarms.is_empty()).then(|| quote!(.alarms(&[#(#given),*])));
    quote!(#schedules #alarms)
}

/// Runs the handler.
pub(super) fn handler(class: &Class) -> TokenStream {
    class.alarms.iter().map(|hook| one(class, hook)).collect()
}

fn one(class: &Class, hook: &Hook) -> TokenStream {
    let private = &class.private;
    let cfgs = &hook.cfgs;
    let (cx, info) = (names::local("cx"), names::local("info"));
    let run = hook::run(class, hook, "Rang", &cx, &info);
    quote! {
        #(#cfgs)*
        fn alarm<'t>(
            &'t mut self,
            #cx: &'t mut #private::Context<'_, Self>,
            #info: #private::AlarmInfo,
        ) -> ::core::option::Option<
            #private::BoxFuture<'t, ::core::result::Result<(), ::std::string::String>>,
        > {
            let _ = (&#cx, &#info);
            ::core::option::Option::Some(#run)
        }
    }
}

/// Says that the class has a handler.
pub(super) fn marker(class: &Class) -> TokenStream {
    let Class { private, ty, .. } = class;
    let marks = class
        .alarms
        .iter()
        .map(|Hook { cfgs, .. }| quote!(#(#cfgs)* impl #private::Alarmed for #ty {}));
    quote!(#(#marks)*)
}
