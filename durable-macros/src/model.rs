//! A class as the expansion sees it: checked, and free of syntax that means nothing to it.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, FnArg, GenericArgument, LitStr, Meta, Pat, PathArguments, ReceiverKind, ReturnType,
    Token, Type, TypeImplTrait, TypeParamBound, Visibility, parse_quote,
};

use crate::attr::{ClassOptions, Http, Marks};
use crate::names;
use crate::parse::Function;

/// A class: the type, its settings, what can be called.
pub(crate) struct Class {
    pub(crate) ty: Type,
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) version: u32,
    /// `None`: plain names.
    pub(crate) key: Option<Type>,
    /// `None`: as the runtime says.
    pub(crate) idle_ms: Option<u64>,
    /// Answers do not wait for the disk.
    pub(crate) is_relaxed: bool,
    /// Former states are kept.
    pub(crate) keeps_history: bool,
    /// Its methods can be called over HTTP.
    pub(crate) is_http: bool,
    /// Its sockets are closed when it crashes.
    pub(crate) closes_sockets: bool,
    pub(crate) alarm_options: AlarmOptions,
    /// By number. Empty: the class has none.
    pub(crate) tables: Vec<TableMigration>,
    pub(crate) visibility: Visibility,
    /// The module that generated code takes everything from.
    pub(crate) private: TokenStream,
    pub(crate) stub: Ident,
    pub(crate) call: Ident,
    pub(crate) reply: Ident,
    pub(crate) methods: Vec<Method>,
    /// `None`: nothing runs when an object is activated.
    pub(crate) on_activate: Option<Hook>,
    /// By `cfg`. Empty: the class has no alarms.
    pub(crate) alarms: Vec<Hook>,
    pub(crate) children: ChildrenOptions,
    /// `None`: as the runtime says.
    pub(crate) crashes: Option<u32>,
    /// In milliseconds. `None`: as the runtime says.
    pub(crate) crash_period_ms: Option<u64>,
    /// In milliseconds. `None`: as the runtime says.
    pub(crate) turn_limit_ms: Option<u64>,
    /// In milliseconds. `None`: as the runtime says.
    pub(crate) keep_results_ms: Option<u64>,
    /// Calls, milliseconds, and how many at once. `None`: as many as come.
    pub(crate) rate: Option<(u32, u64, u32)>,
    /// `None`: as the runtime says.
    pub(crate) in_flight: Option<u32>,
    /// By `cfg`. Empty: the class hears of no child's end.
    pub(crate) child_exits: Vec<Hook>,
    /// By `cfg`. Empty: the class hears of no end of those that it watches.
    pub(crate) downs: Vec<Hook>,
    pub(crate) birth: Birth,
    /// By the versions that they take; each leads to the next, or to the class.
    pub(crate) migrations: Vec<Migration>,
}

/// What a class says of its alarms beside their handler. `None`: the usual.
#[derive(Clone, Copy)]
pub(crate) struct AlarmOptions {
    pub(crate) retries: Option<u32>,
    pub(crate) delay_ms: Option<u64>,
    pub(crate) limit_ms: Option<u64>,
}

/// What a class says of its objects' children. `None`: the usual.
pub(crate) struct ChildrenOptions {
    /// The variant.
    pub(crate) strategy: Option<Ident>,
    pub(crate) intensity: Option<u32>,
    pub(crate) period_ms: Option<u64>,
}

/// A step from an older version of the state.
pub(crate) struct Migration {
    pub(crate) ident: Ident,
    pub(crate) from: u32,
    /// The type of the old state.
    pub(crate) taken: Type,
    pub(crate) output: Type,
    /// Whether it gives the class itself, and not the old state of the next step.
    pub(crate) leads_to_class: bool,
}

/// A numbered file of SQL, for the tables of an object.
pub(crate) struct TableMigration {
    pub(crate) number: u32,
    pub(crate) name: String,
    /// From the crate's directory, with a `/` before it.
    pub(crate) path: LitStr,
}

/// A method that can be called from outside.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    pub(crate) wire_name: LitStr,
    pub(crate) variant: Ident,
    pub(crate) access: Access,
    pub(crate) is_async: bool,
    /// In milliseconds. `None`: its calls have as much time as they take.
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) is_reentrant: bool,
    /// How it is called over HTTP, if its class can be.
    pub(crate) http: Http,
    pub(crate) has_context: bool,
    pub(crate) args: Vec<Arg>,
    /// What it returns, as its callers have it. `None`: it returns nothing.
    pub(crate) output: Option<Type>,
    /// Of the stream that it returns. `None`: it returns something else.
    pub(crate) item: Option<Type>,
    pub(crate) docs: Vec<Attribute>,
    /// On everything that is generated for the method.
    pub(crate) cfgs: Vec<Attribute>,
    /// `#[deprecated]`, on the stub's method.
    pub(crate) deprecated: Vec<Attribute>,
}

/// An argument that crosses the call.
pub(crate) struct Arg {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

/// How objects without stored state begin.
pub(crate) enum Birth {
    Default,
    Init(Box<Hook>),
    /// `#[init]` was wrong and is reported; nothing else is to be said about it.
    Broken,
}

/// A function that the runtime calls by itself.
pub(crate) struct Hook {
    pub(crate) ident: Ident,
    pub(crate) is_async: bool,
    pub(crate) has_context: bool,
    /// Whether it is told what it runs for.
    pub(crate) has_info: bool,
    /// `None`: it returns nothing.
    pub(crate) output: Option<Type>,
    pub(crate) cfgs: Vec<Attribute>,
}

/// What a method may do to its object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Class {
    /// A class without methods. `ident`: the last word of `ty`.
    pub(crate) fn new(ty: Type, ident: Ident, options: ClassOptions) -> Self {
        Class {
            private: options.private(),
            stub: names::derived(&ident, "Stub"),
            call: names::derived(&ident, "Call"),
            reply: names::derived(&ident, "Reply"),
            // A missing name has been reported; anything that is not empty lets the rest of the
            // class be checked.
            name: options.name.map_or_else(|| names::text(&ident), |name| name.value()),
            version: options.version.and_then(|version| version.base10_parse().ok()).unwrap_or(1),
            key: options.key,
            idle_ms: options.idle_ms,
            is_relaxed: options.is_relaxed.unwrap_or_default(),
            keeps_history: options.keeps_history,
            is_http: options.is_http,
            closes_sockets: options.closes_sockets.unwrap_or_default(),
            alarm_options: AlarmOptions {
                retries: options.alarm_retries.and_then(|number| number.base10_parse().ok()),
                delay_ms: options.alarm_delay_ms,
                limit_ms: options.alarm_limit_ms,
            },
            tables: Vec::new(),
            visibility: options
                .visibility
                .unwrap_or_else(|| Visibility::Public(<Token![pub]>::default())),
            methods: Vec::new(),
            on_activate: None,
            alarms: Vec::new(),
            children: ChildrenOptions {
                strategy: options.children,
                intensity: options.intensity.and_then(|number| number.base10_parse().ok()),
                period_ms: options.period_ms,
            },
            crashes: options.crashes.and_then(|number| number.base10_parse().ok()),
            crash_period_ms: options.crash_period_ms,
            turn_limit_ms: options.turn_limit_ms,
            keep_results_ms: options.keep_results_ms,
            rate: options.rate.map(|(calls, period_ms)| {
                let burst = options.burst.and_then(|number| number.base10_parse().ok());
                (calls, period_ms, burst.unwrap_or(calls))
            }),
            in_flight: options.in_flight.and_then(|number| number.base10_parse().ok()),
            child_exits: Vec::new(),
            downs: Vec::new(),
            birth: Birth::Default,
            migrations: Vec::new(),
            ty,
            ident,
        }
    }
}

impl Method {
    /// `function` has passed the checks of a method that can be called.
    /// `private`: the path of what generated code names.
    pub(crate) fn new(function: &Function, marks: &Marks, private: &TokenStream) -> Self {
        let ident = function.sig.ident.clone();
        let item = output(function).and_then(item_of_stream).cloned();
        let output = match &item {
            Some(item) => Some(parse_quote!(#private::ItemStream<#item>)),
            None => output(function).cloned(),
        };
        Method {
            wire_name: marks
                .name
                .clone()
                .unwrap_or_else(|| LitStr::new(&names::text(&ident), ident.span())),
            variant: names::variant(&ident),
            access: access(function),
            is_async: function.sig.asyncness.is_some(),
            timeout_ms: marks.timeout_ms,
            is_reentrant: marks.reentrant.is_some(),
            http: match (&marks.socket, &marks.fetch, &marks.http) {
                (Some((_, event)), ..) => Http::Socket(*event),
                (None, Some(_), _) => Http::Fetch,
                (None, None, Some((_, http))) => *http,
                (None, None, None) => Http::Post,
            },
            has_context: has_context(function),
            args: function.sig.inputs.iter().filter_map(arg).collect(),
            output,
            item,
            docs: function
                .attrs
                .iter()
                .filter(|attr| is_forwarded(attr, &["doc"]))
                .cloned()
                .collect(),
            cfgs: cfgs(function),
            deprecated: function
                .attrs
                .iter()
                .filter(|attr| is_forwarded(attr, &["deprecated"]))
                .cloned()
                .collect(),
            ident,
        }
    }
}

impl Hook {
    /// `function` has passed the checks of its hook.
    pub(crate) fn new(function: &Function) -> Self {
        Hook {
            ident: function.sig.ident.clone(),
            is_async: function.sig.asyncness.is_some(),
            has_context: has_context(function),
            has_info: function.sig.inputs.iter().any(|arg| {
                let infos = [names::ALARM_INFO, names::CHILD_EXIT, names::DOWN];
                infos.iter().any(|info| is_info(arg, info))
            }),
            output: output(function).cloned(),
            cfgs: cfgs(function),
        }
    }
}

fn access(function: &Function) -> Access {
    let kind = function.sig.receiver().map(|receiver| &receiver.kind);
    match kind {
        Some(ReceiverKind::Reference(_, _, Some(_))) => Access::Write,
        _ => Access::Read,
    }
}

fn has_context(function: &Function) -> bool {
    function.sig.inputs.iter().any(|arg| context_of(arg).is_some())
}

/// The argument that crosses the call, unless it is the receiver or the context.
fn arg(arg: &FnArg) -> Option<Arg> {
    let FnArg::Typed(typed) = arg else { return None };
    let Pat::Ident(pat) = &*typed.pat else { return None };
    if context_of(arg).is_some() {
        return None;
    }
    Some(Arg { ident: pat.ident.clone(), ty: (*typed.ty).clone() })
}

/// What the function returns; `None`: nothing.
pub(crate) fn output(function: &Function) -> Option<&Type> {
    match &function.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(ty),
    }
}

/// The type of the items, if `ty` is `impl Stream<Item = T>`.
pub(crate) fn item_of_stream(ty: &Type) -> Option<&Type> {
    let Type::ImplTrait(TypeImplTrait { bounds, .. }) = ty else { return None };
    bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|last| last.ident == "Stream")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(item) if item.ident == "Item" => Some(&item.ty),
            _ => None,
        })
    })
}

pub(crate) fn cfgs(function: &Function) -> Vec<Attribute> {
    function.attrs.iter().filter(|attr| is_forwarded(attr, &["cfg"])).cloned().collect()
}

/// Whether the attribute is one of `names`, or a `cfg_attr` that can become nothing else.
fn is_forwarded(attr: &Attribute, names: &[&str]) -> bool {
    let is_named = |meta: &Meta| names.iter().any(|name| meta.path().is_ident(name));
    if !attr.path().is_ident("cfg_attr") {
        return is_named(&attr.meta);
    }
    let Meta::List(list) = &attr.meta else { return false };
    list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
        .is_ok_and(|metas| metas.iter().skip(1).all(is_named))
}

/// How a function takes its context.
pub(crate) struct ContextArg<'a> {
    pub(crate) ty: &'a Type,
    /// The type's path, `Context<'_, Self>`.
    pub(crate) path: &'a syn::Path,
    pub(crate) taken: Taken,
}

/// By value, `&` or `&mut`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Value,
    Shared,
    Exclusive,
}

/// The argument as a context, if its type is called so. A parameterless type of that name is the
/// user's own.
pub(crate) fn context_of(arg: &FnArg) -> Option<ContextArg<'_>> {
    let FnArg::Typed(typed) = arg else { return None };
    let (inner, taken) = match &*typed.ty {
        Type::Reference(reference) if reference.mutability.is_some() => {
            (&*reference.elem, Taken::Exclusive)
        }
        Type::Reference(reference) => (&*reference.elem, Taken::Shared),
        other => (other, Taken::Value),
    };
    let Type::Path(path) = inner else { return None };
    let last = path.path.segments.last()?;
    let is_context =
        last.ident == names::CONTEXT && (taken != Taken::Value || !last.arguments.is_empty());
    is_context.then_some(ContextArg { ty: &typed.ty, path: &path.path, taken })
}

/// Whether the argument is what a hook is told, by the name of its type.
pub(crate) fn is_info(arg: &FnArg, info: &str) -> bool {
    let FnArg::Typed(typed) = arg else { return false };
    let Type::Path(path) = &*typed.ty else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == info)
}

/// The tokens of a type or path as text without spaces, to compare them.
pub(crate) fn compact(tokens: impl ToTokens) -> String {
    tokens.to_token_stream().to_string().split_whitespace().collect()
}

/// A type that is stored.
pub(crate) struct State {
    pub(crate) ident: Ident,
    pub(crate) generics: syn::Generics,
    /// The module that generated code takes everything from.
    pub(crate) private: TokenStream,
    /// Whether the user derives serde's traits himself.
    pub(crate) has_own_serde: bool,
    /// serde's attributes on the type.
    pub(crate) serde: Vec<Attribute>,
    /// Its name in the schema.
    pub(crate) name: String,
    /// Whether missing fields are taken from the whole type's default.
    pub(crate) has_default: bool,
    pub(crate) body: StateBody,
}

/// What is stored.
pub(crate) enum StateBody {
    Struct(StateFields),
    Enum(Vec<StateVariant>),
}

/// One variant of a stored enum.
pub(crate) struct StateVariant {
    pub(crate) ident: Ident,
    pub(crate) serde: Vec<Attribute>,
    pub(crate) name: String,
    pub(crate) fields: StateFields,
}

/// The fields of a struct or a variant.
pub(crate) enum StateFields {
    Named(Vec<StateField>),
    Unnamed(Vec<StateField>),
    Unit,
}

/// One field.
pub(crate) struct StateField {
    /// `None`: it has a place and no name.
    pub(crate) ident: Option<Ident>,
    pub(crate) ty: Type,
    pub(crate) serde: Vec<Attribute>,
    pub(crate) name: String,
    /// `None`: transient, never stored.
    pub(crate) schema: Option<Type>,
    pub(crate) codec: Codec,
    /// Whether reading takes the field from its type's `Default`.
    pub(crate) needs_default: bool,
}

/// What stores a field, and says what is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Its type does both.
    Own,
    /// Its type's serde stores it, as another type's schema says.
    Declared,
    /// Functions of the user's store it, as another type's schema says.
    Functions,
}

impl State {
    /// The fields of the struct, or of all variants.
    pub(crate) fn fields(&self) -> Vec<&StateField> {
        match &self.body {
            StateBody::Struct(fields) => fields.all().iter().collect(),
            StateBody::Enum(variants) => variants.iter().flat_map(|it| it.fields.all()).collect(),
        }
    }
}

impl StateFields {
    /// The fields in order.
    pub(crate) fn all(&self) -> &[StateField] {
        match self {
            StateFields::Named(fields) | StateFields::Unnamed(fields) => fields,
            StateFields::Unit => &[],
        }
    }
}

/// A struct that is a tree of supervision.
pub(crate) struct SupervisorTree {
    /// Where generated code takes everything from.
    pub(crate) private: TokenStream,
    pub(crate) ident: Ident,
    pub(crate) generics: syn::Generics,
    /// What the supervisor is called.
    pub(crate) name: String,
    pub(crate) options: crate::attr::SupervisorOptions,
    pub(crate) children: Vec<SupervisorChild>,
}

/// A field of it.
pub(crate) struct SupervisorChild {
    /// What the child is called.
    pub(crate) name: String,
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) options: crate::attr::ChildOptions,
}
