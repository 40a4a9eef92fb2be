//! Rules of one function of a class.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    FnArg, GenericArgument, GenericParam, Pat, PathArguments, ReceiverKind, Safety, Type,
    TypeImplTrait, TypeParamBound, Visibility,
};

use super::{Tied, idents, tied};
use crate::attr::Marks;
use crate::errors::Errors;
use crate::model::{Class, Taken, compact, context_of, item_of_stream, output};
use crate::names;
use crate::parse::Function;

/// The two ways out for a public method that cannot be called from outside.
const OR_PRIVATE: &str = "or make the method private, or put `#[rpc(skip)]` on it";

/// What a function is to its class.
pub(super) enum Role {
    Rpc,
    /// Sockets call it.
    Socket,
    OnActivate,
    Alarm,
    OnChildExit,
    OnDown,
    Init,
    Migrate,
    /// Nothing; it is not checked further.
    Private,
}

/// What the function is, by its marks, visibility and receiver.
pub(super) fn role(function: &Function, marks: &Marks, errors: &mut Errors) -> Role {
    let is_public = matches!(function.vis, Visibility::Public(_));
    let has_receiver = function.sig.receiver().is_some();
    if let (Some(_), Some(second)) = (&marks.on_activate, &marks.init) {
        errors.at(
            second,
            "a function cannot be both `#[init]` and `#[on_activate]`; write two \
            functions",
        );
    }
    if let (Some(migrate), true) = (&marks.migrate, marks.is_hook()) {
        errors.at(migrate, "a migration is no other hook; write two functions");
    }
    if let (Some(alarm), true) = (&marks.alarm, marks.init.is_some() || marks.on_activate.is_some())
    {
        errors.at(alarm, "an alarm's handler is no other hook; write two functions");
    }
    let others = [&marks.on_child_exit, &marks.on_down];
    if let (Some(hook), 2..) = (others.into_iter().flatten().next(), marks.hooks().count()) {
        errors.at(hook, format!("`#[{hook}]` is no other hook; write two functions"));
    }
    if let Some(rpc) = marks.rpc.as_ref().filter(|_| marks.socket.is_none()) {
        no_idle_rpc_mark(function, marks, rpc, is_public && has_receiver, errors);
    }
    if let Some(fetch) = marks.fetch.as_ref().filter(|_| marks.socket.is_none()) {
        no_idle_fetch(function, marks, fetch, is_public && has_receiver, errors);
    }
    if marks.socket.is_some() {
        Role::Socket
    } else if marks.on_activate.is_some() {
        Role::OnActivate
    } else if marks.alarm.is_some() {
        Role::Alarm
    } else if marks.on_child_exit.is_some() {
        Role::OnChildExit
    } else if marks.on_down.is_some() {
        Role::OnDown
    } else if marks.init.is_some() {
        Role::Init
    } else if marks.migrate.is_some() {
        Role::Migrate
    } else if is_public && has_receiver && !marks.skip {
        Role::Rpc
    } else {
        Role::Private
    }
}

/// So is a `#[fetch]` that would.
fn no_idle_fetch(
    function: &Function,
    marks: &Marks,
    fetch: &syn::Ident,
    is_callable: bool,
    errors: &mut Errors,
) {
    let name = &function.sig.ident;
    if marks.is_hook() || marks.migrate.is_some() {
        errors.at(fetch, "what takes requests is no hook; write two functions");
    } else if marks.skip {
        errors.at(
            fetch,
            format!("`{name}` is skipped, so nothing reaches it; keep `skip` or `#[fetch]`"),
        );
    } else if !is_callable {
        errors.at(
            fetch,
            format!(
                "`{name}` takes requests from outside; make it `pub`, with `&self` or `&mut self`"
            ),
        );
    }
}

/// A `#[rpc(…)]` that would do nothing is a misunderstanding.
fn no_idle_rpc_mark(
    function: &Function,
    marks: &Marks,
    rpc: &syn::Ident,
    is_callable: bool,
    errors: &mut Errors,
) {
    let name = &function.sig.ident;
    if marks.is_hook() || marks.migrate.is_some() {
        errors.at(
            rpc,
            format!(
                "the runtime calls `{name}` itself, no caller can; remove \
            `#[rpc(…)]`"
            ),
        );
    } else if let (true, Some(reentrant)) = (may_change(function), &marks.reentrant) {
        errors.at(
            reentrant,
            format!(
                "what is called back runs beside a turn that waits, so it may only read; take `&self` in \
            `{name}`, or remove `reentrant`"
            ),
        );
    } else if marks.skip
        && (marks.timeout_ms.is_some() || marks.reentrant.is_some() || marks.http.is_some())
    {
        errors.at(rpc, format!("`{name}` is skipped, so nobody calls it; keep `skip` or the rest"));
    } else if marks.skip && marks.name.is_some() {
        errors.at(
            rpc,
            format!(
                "`{name}` is skipped, so it has no wire name; keep `skip` or \
            `name`"
            ),
        );
    } else if !is_callable && !marks.skip {
        let fix = if function.sig.receiver().is_some() {
            "make it `pub`"
        } else {
            "give it \
            `&self` or `&mut self`"
        };
        errors.at(
            rpc,
            format!(
                "`{name}` cannot be called from outside, so `#[rpc(…)]` does \
            nothing; {fix}"
            ),
        );
    }
}

/// The rules of a method that can be called from outside.
pub(super) fn rpc(function: &Function, class: &Class, errors: &mut Errors) {
    receiver(function, errors);
    qualifiers(function, OR_PRIVATE, errors);
    no_method_generics(function, errors);
    context(function, class, errors);
    for arg in function.sig.inputs.iter().filter(|arg| context_of(arg).is_none()) {
        argument(arg, class, errors);
    }
    returned(function, class, errors);
    not_reserved(function, errors);
}

/// Rule 4: turns borrow the object.
fn receiver(function: &Function, errors: &mut Errors) {
    let Some(receiver) = function.sig.receiver() else { return };
    if !matches!(receiver.kind, ReceiverKind::Reference(..)) {
        errors.at(
            receiver,
            format!("a turn borrows its object; take `&mut self` or `&self`, {OR_PRIVATE}"),
        );
    }
}

/// Rule 12: nothing that the generated code could not call.
pub(super) fn qualifiers(function: &Function, ways_out: &str, errors: &mut Errors) {
    let sig = &function.sig;
    let mut refuse = |tokens: TokenStream, word: &str| {
        errors.at(tokens, format!("the runtime calls plain methods; remove `{word}`, {ways_out}"));
    };
    if let Some(constness) = &sig.constness {
        refuse(constness.to_token_stream(), "const");
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        refuse(unsafety.to_token_stream(), "unsafe");
    }
    if let Some(abi) = &sig.abi {
        refuse(abi.to_token_stream(), "extern");
    }
    if let Some(variadic) = &sig.variadic {
        refuse(variadic.to_token_stream(), "...");
    }
}

/// Rule 2, for methods: a message has one layout. `impl Trait` arguments are reported with their
/// argument.
fn no_method_generics(function: &Function, errors: &mut Errors) {
    let generics = &function.sig.generics;
    for param in &generics.params {
        let (what, fix) = match param {
            GenericParam::Lifetime(_) => ("lifetime", "take owned arguments"),
            GenericParam::Type(_) => ("type parameter", "take a concrete type"),
            GenericParam::Const(_) => ("const parameter", "take it as an argument"),
        };
        errors.at(
            param,
            format!(
                "a method that is called by message has no {what}; {fix}, \
            {OR_PRIVATE}"
            ),
        );
    }
    if let (true, Some(clause)) = (generics.params.is_empty(), &generics.where_clause) {
        errors.at(
            clause,
            format!(
                "a method that is called by message has no `where` clause; \
            remove it, {OR_PRIVATE}"
            ),
        );
    }
}

/// Rule 10: the context comes first, once, by reference, and is the class's own.
pub(super) fn context(function: &Function, class: &Class, errors: &mut Errors) {
    let inputs = function.sig.inputs.iter().filter(|arg| matches!(arg, FnArg::Typed(_)));
    let mut has_one = false;
    for (index, arg) in inputs.enumerate() {
        let Some(context) = context_of(arg) else { continue };
        if has_one {
            errors.at(arg, "the context is given twice; keep the first");
            continue;
        }
        has_one = true;
        if index != 0 {
            errors.at(
                arg,
                "the context comes before the other arguments; move it behind the \
                receiver",
            );
        }
        if context.taken == Taken::Value {
            let text = "the context is borrowed; write `cx: &mut Context<'_, Self>`, or `&` in a \
                `&self` method";
            errors.at(context.ty, text);
        } else if context.taken == Taken::Exclusive && !may_change(function) {
            let text = "a `&self` method reads, so its context is shared; write `cx: &Context<'_, \
                Self>`";
            errors.at(context.ty, text);
        }
        own_context(context.path, class, errors);
    }
}

pub(super) fn may_change(function: &Function) -> bool {
    let kind = function.sig.receiver().map(|receiver| &receiver.kind);
    matches!(kind, Some(ReceiverKind::Reference(_, _, Some(_))))
}

/// Rule 10: `Context<'_, Self>`, not another class's.
fn own_context(path: &syn::Path, class: &Class, errors: &mut Errors) {
    let last = path.segments.last().expect("a context has a name");
    let named = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().find_map(|arg| match arg {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    };
    match named {
        None => errors.at(path, "the context names its class; write `Context<'_, Self>`"),
        Some(ty) if is_class(ty, class) => {}
        Some(ty) => {
            let ty = ty.to_token_stream();
            errors.at(path, format!("this is the context of `{ty}`; write `Context<'_, Self>`"));
        }
    }
}

fn is_class(ty: &Type, class: &Class) -> bool {
    let text = compact(ty);
    text == "Self" || text == compact(&class.ty) || text == compact(&class.ident)
}

/// Rules 2, 5 and 6: an argument has a name, and owns what it brings.
fn argument(arg: &FnArg, class: &Class, errors: &mut Errors) {
    let FnArg::Typed(arg) = arg else { return };
    for attr in arg
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr"))
    {
        errors.at(
            attr,
            format!(
                "an argument cannot depend on `cfg`, the message would have two \
            layouts; put it on the method, {OR_PRIVATE}"
            ),
        );
    }
    match &*arg.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {}
        pattern => errors.at(
            pattern,
            format!(
                "an argument needs a name, which becomes a field of `{}`; name it here and \
                take it apart in the body",
                class.call
            ),
        ),
    }
    if !crosses(&arg.ty, errors) {
        return;
    }
    let (span, message) = match tied(arg.ty.to_token_stream()) {
        None => return,
        Some(Tied::Reference) => {
            errors.at(
                &arg.ty,
                format!(
                    "an argument cannot be borrowed, its caller may be gone \
                when it is used; {}, {OR_PRIVATE}",
                    owned(&arg.ty)
                ),
            );
            return;
        }
        Some(Tied::Lifetime(span)) => (
            span,
            "an argument cannot have a lifetime, its caller may be gone when it is used; \
                take an owned type"
                .to_owned(),
        ),
        Some(Tied::ImplTrait) => {
            errors.at(
                &arg.ty,
                format!(
                    "a method that is called by message cannot be generic; \
                take a concrete type, {OR_PRIVATE}"
                ),
            );
            return;
        }
        Some(Tied::SelfType(span)) => (span, self_type(class)),
    };
    errors.push(syn::Error::new(span, message));
}

fn self_type(class: &Class) -> String {
    format!("`Self` means another type in `{}`; write `{}`", class.call, names::text(&class.ident))
}

/// Rule 8, for the types that people reach for. An `Rc` would make the whole message unable to leave
/// its thread, which rustc explains by everything that holds messages.
fn crosses(ty: &Type, errors: &mut Errors) -> bool {
    let found = idents(ty.to_token_stream(), &|ident| ident == "Rc");
    for rc in &found {
        errors.at(
            rc,
            "an `Rc` cannot cross a call, it stays in its thread; write the type inside \
            it",
        );
    }
    let objects = idents(ty.to_token_stream(), &|ident| ident == "dyn");
    for object in &objects {
        errors.at(
            object,
            "a `dyn` value cannot cross a call, it cannot be decoded; write a type of your own, \
            for errors an enum with `Serialize` and `Deserialize`",
        );
    }
    found.is_empty() && objects.is_empty()
}

/// What to write in place of a reference.
fn owned(ty: &Type) -> String {
    let Type::Reference(reference) = ty else { return "take an owned type".to_owned() };
    match (compact(&reference.elem).as_str(), &*reference.elem) {
        ("str", _) => "take `String`".to_owned(),
        ("Path", _) => "take `PathBuf`".to_owned(),
        (_, Type::Slice(slice)) => format!("take `Vec<{}>`", slice.elem.to_token_stream()),
        (_, Type::Path(path)) => {
            let ty = path.to_token_stream();
            format!("take `{ty}` (if it is the context, its type must be called `Context`)")
        }
        _ => "take an owned type".to_owned(),
    }
}

/// Rule 7: what is returned outlives the turn, and has a name.
fn returned(function: &Function, class: &Class, errors: &mut Errors) {
    let Some(written) = output(function) else { return };
    let item = item_of_stream(written);
    let ty = item.unwrap_or(written);
    if !crosses(ty, errors) {
        return;
    }
    if item.is_some() && !is_free(written) {
        errors.at(
            written,
            "a stream goes on when its turn is over, so it cannot borrow from the object; write \
             `+ use<>` behind its bounds, and move into it what it needs, such as a copy or `cx.me()`",
        );
    }
    let message = match tied(ty.to_token_stream()) {
        None => return,
        Some(Tied::Reference | Tied::Lifetime(_)) => {
            format!(
                "a result cannot be borrowed, the turn is over when it is read; return an \
                owned type, {OR_PRIVATE}"
            )
        }
        Some(Tied::ImplTrait) => {
            format!(
                "a result needs a type that can be named; return a concrete type, or \
                `impl Stream<Item = T> + use<>`, {OR_PRIVATE}"
            )
        }
        Some(Tied::SelfType(span)) => return errors.push(syn::Error::new(span, self_type(class))),
    };
    errors.at(ty, message);
}

/// Whether a stream says that it borrows nothing.
fn is_free(stream: &Type) -> bool {
    let Type::ImplTrait(TypeImplTrait { bounds, .. }) = stream else { return false };
    bounds.iter().any(|bound| match bound {
        TypeParamBound::PreciseCapture(capture) => capture.params.is_empty(),
        TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
        _ => false,
    })
}

/// Rule 11: the stub has methods of its own.
fn not_reserved(function: &Function, errors: &mut Errors) {
    let ident = &function.sig.ident;
    if names::RESERVED.contains(&names::text(ident).as_str()) {
        errors.at(
            ident,
            format!(
                "`{ident}` is a method that every stub has; rename this one, \
                 `#[rpc(name = \"{ident}\")]` keeps its wire name"
            ),
        );
    }
}
