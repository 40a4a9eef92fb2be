//! Rules of a whole class: where the attribute stands, its name, names that meet each other.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{Item as SynItem, PathArguments, Type};

use super::{hook, http, method, migrate, tables};
use crate::attr::{self, ClassOptions, Marks};
use crate::errors::Errors;
use crate::model::{Birth, Class, Hook, Method, cfgs};
use crate::names;
use crate::parse::{Function, ImplBlock, Item, is_async_trait};

/// Longest class name, in bytes; the runtime has the same limit.
const NAME_BYTES_MAX: usize = 128;

/// The class of a block, without the methods that are wrong. `None`: the block as a whole cannot be
/// one.
pub(crate) fn class(
    block: &ImplBlock,
    options: ClassOptions,
    errors: &mut Errors,
) -> Option<Class> {
    let before = errors.count();
    no_trait(block, errors);
    no_generics(block, errors);
    not_unsafe(block, errors);
    let ident = class_ident(block, errors);
    let is_usable = errors.count() == before;
    no_async_trait(block, errors);
    name(&options, errors);
    burst(&options, errors);

    let tables = tables::migrations(options.migrations.as_ref(), errors);
    let mut class = Class::new(block.self_ty.clone(), ident?, options);
    class.tables = tables;
    functions(block, &mut class, errors);
    is_usable.then_some(class)
}

/// Rule 1: the attribute stands on an `impl` block.
pub(crate) fn input(item: &TokenStream) -> syn::Result<()> {
    let example = |ident: &Ident| format!("put it on `impl {ident} {{ … }}`");
    let (what, hint) = match syn::parse2::<SynItem>(item.clone()) {
        Ok(SynItem::Struct(item)) => ("a struct", example(&item.ident)),
        Ok(SynItem::Enum(item)) => ("an enum", example(&item.ident)),
        Ok(SynItem::Union(item)) => ("a union", example(&item.ident)),
        Ok(SynItem::Trait(_)) => ("a trait", "put it on the `impl` block of a type".to_owned()),
        Ok(SynItem::Mod(_)) => ("a module", "put it on an `impl` block inside".to_owned()),
        Ok(SynItem::Fn(_)) => ("a function", "put it on the `impl` block around it".to_owned()),
        _ => return Ok(()),
    };
    let message = format!("`#[durable_object]` cannot be put on {what}; {hint}");
    Err(syn::Error::new(attr::whole_attribute(), message))
}

/// Rule 1: the impl is the type's own.
fn no_trait(block: &ImplBlock, errors: &mut Errors) {
    let Some(of_trait) = &block.of_trait else { return };
    let ty = block.self_ty.to_token_stream();
    errors.at(
        of_trait,
        format!(
            "`#[durable_object]` cannot be put on the impl of a trait; put it on `impl {ty} \
            {{ … }}`"
        ),
    );
}

/// Rule 2: a class is one type, so that its name in storage means one layout.
fn no_generics(block: &ImplBlock, errors: &mut Errors) {
    if !block.generics.params.is_empty() {
        errors.at(
            &block.generics,
            "a class cannot be generic, because its name in storage stands for one type; \
             remove the parameters, or write one impl for each concrete type",
        );
    } else if let Some(clause) = &block.generics.where_clause {
        errors.at(clause, "a class cannot have a `where` clause; remove it");
    }
}

/// Rule 12, for the block.
fn not_unsafe(block: &ImplBlock, errors: &mut Errors) {
    if let Some(unsafety) = &block.unsafety {
        errors.at(unsafety, "the impl of a class cannot be `unsafe`; remove `unsafe`");
    }
}

/// Rules 1 and 2: the type is a plain name. The name is kept for the generated types.
fn class_ident(block: &ImplBlock, errors: &mut Errors) -> Option<Ident> {
    let ty = &block.self_ty;
    let last = match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    };
    let Some(last) = last else {
        errors.at(
            ty,
            "a class must be a struct or an enum of this crate; name it plainly, as in \
            `impl Cart { … }`",
        );
        return None;
    };
    // The parameters of a generic impl have been reported.
    if !matches!(last.arguments, PathArguments::None) && block.generics.params.is_empty() {
        errors.at(
            &last.arguments,
            "a class cannot be generic, because its name in storage stands for one type; \
             give the type an alias without parameters, and put the impl on the alias",
        );
    }
    Some(last.ident.clone())
}

/// Rule 13: a burst is one of a rate.
fn burst(options: &ClassOptions, errors: &mut Errors) {
    if let (Some(burst), None, false) = (&options.burst, &options.rate, options.has_rate) {
        errors.at(
            burst,
            "`burst` is how many calls of a rate may come at once, and there is no rate; \
             write `rate = \"100/s\"` beside it",
        );
    }
}

/// Rule 15: methods are async as they are.
fn no_async_trait(block: &ImplBlock, errors: &mut Errors) {
    for attr in &block.attrs {
        if is_async_trait(attr) {
            errors.at(
                attr,
                "`#[async_trait]` is not needed, async methods work as they are; \
                remove it",
            );
        }
    }
}

/// Rule 3: the class has a name that storage and wires can keep.
fn name(options: &ClassOptions, errors: &mut Errors) {
    let Some(literal) = &options.name else {
        if !options.has_name {
            errors.push(syn::Error::new(
                attr::whole_attribute(),
                "the class needs the name under which its objects are stored; \
                 write `#[durable_object(name = \"bank.Account\")]`",
            ));
        }
        return;
    };
    let name = literal.value();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        errors.at(literal, "the name of a class cannot be empty; write `name = \"bank.Account\"`");
    } else if name.len() > NAME_BYTES_MAX {
        let bytes = name.len();
        errors.at(
            literal,
            format!(
                "this name has {bytes} bytes, the limit is {NAME_BYTES_MAX}; \
            shorten it"
            ),
        );
    } else if let Some(bad) = name.chars().find(|c| !is_allowed(*c)) {
        errors.at(
            literal,
            format!(
                "the name of a class cannot contain {bad:?}; use letters, digits, `.`, `_` \
                and `-`"
            ),
        );
    }
}

/// Sorts the functions of the block into methods, hooks and the user's own business.
fn functions(block: &ImplBlock, class: &mut Class, errors: &mut Errors) {
    // Each with what it is marked as.
    let mut marked: Vec<(&str, &Function)> = Vec::new();
    let mut steps_are_whole = true;
    for item in &block.items {
        let Item::Function(function) = item else { continue };
        let before = errors.count();
        let marks = Marks::read(function, errors);
        match method::role(function, &marks, errors) {
            method::Role::OnActivate => {
                hook::on_activate(function, class, errors);
                if errors.count() == before {
                    class.on_activate.get_or_insert_with(|| Hook::new(function));
                }
                marked.push((names::ON_ACTIVATE, function));
            }
            method::Role::Alarm => {
                hook::alarm(function, class, errors);
                if errors.count() == before {
                    class.alarms.push(Hook::new(function));
                }
                marked.push((names::ALARM, function));
            }
            method::Role::OnChildExit => {
                hook::on_child_exit(function, class, errors);
                if errors.count() == before {
                    class.child_exits.push(Hook::new(function));
                }
                marked.push((names::ON_CHILD_EXIT, function));
            }
            method::Role::OnDown => {
                hook::on_down(function, class, errors);
                if errors.count() == before {
                    class.downs.push(Hook::new(function));
                }
                marked.push((names::ON_DOWN, function));
            }
            method::Role::Init => {
                hook::init(function, class, errors);
                class.birth =
                    match errors.count() == before && matches!(class.birth, Birth::Default) {
                        true => Birth::Init(Box::new(Hook::new(function))),
                        false => Birth::Broken,
                    };
                marked.push((names::INIT, function));
            }
            method::Role::Migrate => {
                let migration = migrate::migration(function, &marks, class, errors);
                steps_are_whole &= migration.is_some();
                class.migrations.extend(migration);
            }
            method::Role::Rpc => {
                marked.extend(marks.fetch.is_some().then_some((names::FETCH, &**function)));
                rpc(function, &marks, class, errors);
            }
            method::Role::Socket => {
                marked.extend(
                    marks.socket.as_ref().map(|(_, event)| (event.attribute(), &**function)),
                );
                socket(function, &marks, class, errors);
            }
            method::Role::Private => {}
        }
    }
    each_stands_once(&marked, errors);
    // What a wrong step would have joined is not to be reported as missing.
    if !(steps_are_whole && migrate::chain(class, errors)) {
        class.migrations.clear();
    }
}

/// A method that can be called from outside.
fn rpc(function: &Function, marks: &Marks, class: &mut Class, errors: &mut Errors) {
    let before = errors.count();
    method::rpc(function, class, errors);
    http::method(function, marks, class, errors);
    http::fetch(function, marks, class, errors);
    if errors.count() == before {
        add_method(Method::new(function, marks, &class.private), class, errors);
    }
}

/// A method that sockets call.
fn socket(function: &Function, marks: &Marks, class: &mut Class, errors: &mut Errors) {
    let before = errors.count();
    method::rpc(function, class, errors);
    http::socket(function, marks, class, errors);
    if errors.count() == before {
        add_method(Method::new(function, marks, &class.private), class, errors);
    }
}

/// Rule 14: each hook stands once, unless `cfg` chooses between two.
fn each_stands_once(marked: &[(&str, &Function)], errors: &mut Errors) {
    for (place, (attribute, function)) in marked.iter().enumerate() {
        let first = marked[..place].iter().find(|(other, _)| other == attribute);
        let Some((_, first)) = first else { continue };
        if cfgs(function).is_empty() || cfgs(first).is_empty() {
            errors.at(
                &function.sig.ident,
                format!(
                    "`#[{attribute}]` is already on `{}`; keep one and call the other from it",
                    first.sig.ident
                ),
            );
        }
    }
}

/// Rule 11: two methods have two names, in Rust, on wires and in the message enum, unless `cfg`
/// chooses between them.
fn add_method(method: Method, class: &mut Class, errors: &mut Errors) {
    let rivals =
        class.methods.iter().filter(|other| other.cfgs.is_empty() || method.cfgs.is_empty());
    for other in rivals {
        if other.wire_name.value() == method.wire_name.value() {
            let name = method.wire_name.value();
            let message = format!(
                "`{name}` is already the wire name of `{}`; give one of them another `#[rpc(name \
                    = \"…\")]`",
                other.ident
            );
            return errors.at(&method.wire_name, message);
        }
        if other.variant == method.variant {
            let message = format!(
                "`{}` and `{}` both become `{}::{}`; rename one, `#[rpc(name = \"…\")]` keeps its \
                    wire name",
                other.ident, method.ident, class.call, method.variant
            );
            return errors.at(&method.ident, message);
        }
    }
    class.methods.push(method);
}
