//! What the SQL of an object may not do. SQLite asks here while it compiles a statement, for each thing that it would do.

use std::fmt::Display;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// With this begin the names of our own tables. In whatever case it is written.
const RESERVED: &str = "durable_";

/// Modules of virtual tables that keep to the database.
const MODULES: [&str; 4] = ["fts5", "fts5vocab", "rtree", "rtree_i32"];

/// Functions that reach past the database, or tell of the library behind it.
const FUNCTIONS_DENIED: [&str; 9] = [
    "load_extension",
    "fts3_tokenizer",
    "edit",
    "sqlite_log",
    "sqlite_offset",
    "sqlite_version",
    "sqlite_source_id",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
];

/// Settings that may be read only.
const PRAGMAS_READ: [&str; 2] = ["data_version", "page_size"];

/// Settings that may be changed, for the turn.
const PRAGMAS_SET: [&str; 7] = [
    "case_sensitive_like",
    "foreign_keys",
    "defer_foreign_keys",
    "ignore_check_constraints",
    "legacy_alter_table",
    "recursive_triggers",
    "reverse_unordered_selects",
];

/// Pragmas that are questions, with or without an argument, and the one that gathers statistics.
const PRAGMAS_ASKED: [&str; 10] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "table_info",
    "table_xinfo",
    "table_list",
    "quick_check",
    "optimize",
];

/// What a statement was seen to do while it was compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// It is a pragma, which SQLite may carry out while it compiles: it must be compiled each time.
    pub(super) is_pragma: bool,
    /// It changes a setting of the connection.
    pub(super) is_setting: bool,
    /// It may give a table another name, of which SQLite does not ask.
    pub(super) may_rename: bool,
    /// Why it was refused.
    pub(super) refusal: Option<String>,
}

/// The gate of one connection.
#[derive(Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    /// The statement is one of ours, and may do anything.
    is_ours: bool,
    /// The turn may only read: a setting would be the others' that read beside it.
    is_read: bool,
    seen: Seen,
}

impl Gate {
    /// Puts a gate before everything that is compiled from here on.
    pub(super) fn before(connection: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        let gate = Arc::new(Gate::default());
        let asked = Arc::clone(&gate);
        connection.authorizer(Some(move |context: AuthContext<'_>| asked.ask(&context)))?;
        Ok(gate)
    }

    /// Runs a statement of ours.
    pub(super) fn ours<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.lock().is_ours = true;
        let done = work();
        self.0.lock().is_ours = false;
        done
    }

    /// Whether the turn may only read.
    pub(super) fn set_read(&self, is_read: bool) {
        self.0.lock().is_read = is_read;
    }

    /// What was seen since this was asked last.
    pub(super) fn take_seen(&self) -> Seen {
        std::mem::take(&mut self.0.lock().seen)
    }

    /// What was seen since it was taken last.
    pub(super) fn peek_seen(&self) -> Seen {
        self.0.lock().seen.clone()
    }

    fn ask(&self, context: &AuthContext<'_>) -> Authorization {
        let State { is_ours, is_read, seen } = &mut *self.0.lock();
        if *is_ours {
            return Authorization::Allow;
        }
        match judge(&context.action, *is_read, seen) {
            Ok(()) => Authorization::Allow,
            Err(refusal) => {
                seen.refusal.get_or_insert(refusal);
                Authorization::Deny
            }
        }
    }
}

/// Decides about one thing that a statement would do. `Err`: why not.
fn judge(action: &AuthAction<'_>, is_read: bool, seen: &mut Seen) -> Result<(), String> {
    match action {
        AuthAction::Transaction { .. } => {
            refuse("BEGIN, COMMIT and ROLLBACK", "a turn is a transaction: return `Err` to undo it")
        }
        AuthAction::Savepoint { .. } => {
            refuse("SAVEPOINT, RELEASE and ROLLBACK TO", "use `cx.savepoint`")
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => refuse(
            "ATTACH, DETACH and VACUUM",
            "an object has one database, which needs no vacuum; call another object for its data",
        ),
        AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::DropTempIndex { .. }
        | AuthAction::DropTempTable { .. }
        | AuthAction::DropTempTrigger { .. }
        | AuthAction::DropTempView { .. } => refuse(
            "temporary tables, indexes, views and triggers",
            "they would be gone with the activation; use a common table expression, or a table",
        ),
        AuthAction::CreateVtable { table_name, module_name } => {
            name(table_name)?;
            if MODULES.iter().any(|module| module.eq_ignore_ascii_case(module_name)) {
                return Ok(());
            }
            refuse(
                format!("the virtual table module `{module_name}`"),
                format!("use one of {}", MODULES.join(", ")),
            )
        }
        AuthAction::Function { function_name } => {
            let is_denied =
                FUNCTIONS_DENIED.iter().any(|it| it.eq_ignore_ascii_case(function_name));
            if is_denied {
                return refuse(format!("the function `{function_name}`"), "do without it");
            }
            Ok(())
        }
        AuthAction::Pragma { pragma_name, pragma_value } => {
            pragma(pragma_name, *pragma_value, seen)?;
            if is_read && seen.is_setting {
                return refuse(
                    "a setting in a turn that takes `&self`",
                    "let the method take `&mut self`",
                );
            }
            Ok(())
        }
        AuthAction::AlterTable { table_name, .. } => {
            seen.may_rename = true;
            name(table_name)
        }
        AuthAction::Unknown { code, .. } => {
            refuse(format!("something that has the number {code}"), "say it in another way")
        }
        other => names(other),
    }
}

fn pragma(name: &str, value: Option<&str>, seen: &mut Seen) -> Result<(), String> {
    seen.is_pragma = true;
    let is_in = |list: &[&str]| list.iter().any(|it| it.eq_ignore_ascii_case(name));
    if is_in(&PRAGMAS_ASKED) || (is_in(&PRAGMAS_READ) && value.is_none()) {
        return Ok(());
    }
    if is_in(&PRAGMAS_SET) {
        seen.is_setting |= value.is_some();
        return Ok(());
    }
    let allowed = [&PRAGMAS_READ[..], &PRAGMAS_SET, &PRAGMAS_ASKED].concat().join(", ");
    refuse(format!("PRAGMA {name}"), format!("allowed are {allowed}"))
}

/// Looks at the names of what a statement makes, changes or drops.
fn names(action: &AuthAction<'_>) -> Result<(), String> {
    match action {
        AuthAction::CreateIndex { index_name, table_name }
        | AuthAction::DropIndex { index_name, table_name } => {
            name(index_name).and_then(|()| name(table_name))
        }
        AuthAction::CreateTrigger { trigger_name, table_name }
        | AuthAction::DropTrigger { trigger_name, table_name } => {
            name(trigger_name).and_then(|()| name(table_name))
        }
        AuthAction::CreateView { view_name } | AuthAction::DropView { view_name } => {
            name(view_name)
        }
        AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::DropVtable { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => name(table_name),
        // Our own tables may be read.
        _ => Ok(()),
    }
}

fn name(name: &str) -> Result<(), String> {
    if is_reserved(name) {
        return refuse(
            format!("the name `{name}`, which is reserved,"),
            format!("use a name that does not begin with `{RESERVED}`"),
        );
    }
    Ok(())
}

/// Whether a name is one of ours.
fn is_reserved(name: &str) -> bool {
    name.get(..RESERVED.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED))
}

fn refuse(what: impl Display, next: impl Display) -> Result<(), String> {
    Err(format!("{what} may not be used in an object's SQL; {next}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_name_is_known_in_any_case_and_any_script() {
        for (name, reserved) in [
            ("durable_x", true),
            ("DURABLE_", true),
            ("durable", false),
            ("durablé_x", false),
            ("my_durable_x", false),
        ] {
            assert_eq!(is_reserved(name), reserved, "{name}");
        }
    }
}
