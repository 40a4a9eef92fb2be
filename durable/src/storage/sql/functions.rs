//! Functions of an object's SQL that SQLite does not have, or has with a randomness of its own.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};

use super::around;
use crate::limits::SQL_VALUE_BYTES_MAX;

/// Lets `random()` and `randomblob()` draw from the turn's randomness.
pub(super) fn add_random(connection: &Connection) -> rusqlite::Result<()> {
    // They change nothing and tell nothing, so triggers and views may use them, too.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("random", 0, flags, |_| {
        let mut bytes = [0; 8];
        around::fill(&mut bytes);
        Ok(i64::from_le_bytes(bytes))
    })?;
    connection.create_scalar_function("randomblob", 1, flags, |context| {
        let length = usize::try_from(context.get::<i64>(0).unwrap_or(1)).unwrap_or(1).max(1);
        if length > SQL_VALUE_BYTES_MAX {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG),
                Some(format!("a blob of {length} bytes is too big")),
            ));
        }
        let mut bytes = vec![0; length];
        around::fill(&mut bytes);
        Ok(bytes)
    })
}

type OfOne = fn(f64) -> f64;

/// Mathematical functions of one number.
const OF_ONE: [(&str, OfOne); 20] = [
    ("acos", f64::acos),
    ("acosh", f64::acosh),
    ("asin", f64::asin),
    ("asinh", f64::asinh),
    ("atan", f64::atan),
    ("atanh", f64::atanh),
    ("cos", f64::cos),
    ("cosh", f64::cosh),
    ("degrees", f64::to_degrees),
    ("exp", f64::exp),
    ("ln", logarithm),
    ("log", |x| logarithm(x) / std::f64::consts::LN_10),
    ("log10", |x| if x > 0.0 { x.log10() } else { f64::NAN }),
    ("log2", |x| if x > 0.0 { x.log2() } else { f64::NAN }),
    ("radians", f64::to_radians),
    ("sin", f64::sin),
    ("sinh", f64::sinh),
    ("sqrt", f64::sqrt),
    ("tan", f64::tan),
    ("tanh", f64::tanh),
];

/// Those that leave a whole number as it is.
const ROUNDING: [(&str, OfOne); 4] =
    [("ceil", f64::ceil), ("ceiling", f64::ceil), ("floor", f64::floor), ("trunc", f64::trunc)];

type OfTwo = fn(f64, f64) -> f64;

/// Mathematical functions of two numbers.
const OF_TWO: [(&str, OfTwo); 5] = [
    ("atan2", f64::atan2),
    ("log", |base, x| logarithm(x) / logarithm(base)),
    ("mod", |x, y| x % y),
    ("pow", f64::powf),
    ("power", f64::powf),
];

/// A number that is not positive has none; NaN is NULL to SQLite.
fn logarithm(x: f64) -> f64 {
    if x > 0.0 { x.ln() } else { f64::NAN }
}

/// Whether SQLite could not compile a statement because it has no mathematical functions.
pub(super) fn is_math(error: &rusqlite::Error) -> bool {
    let text = error.to_string();
    // The second is said of a function that a stored table names.
    let says = ["no such function: ", "unknown function: "];
    let Some((_, rest)) = says.iter().find_map(|says| text.split_once(says)) else { return false };
    let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is_one = OF_ONE.iter().chain(&ROUNDING).any(|(it, _)| it.eq_ignore_ascii_case(name));
    is_one
        || OF_TWO.iter().any(|(it, _)| it.eq_ignore_ascii_case(name))
        || name.eq_ignore_ascii_case("pi")
}

/// Adds the mathematical functions, as SQLite defines them: the library is built without its own. Most objects need none,
/// so they are added when a statement names one.
pub(super) fn add_math(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_INNOCUOUS
        | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("pi", 0, flags, |_| Ok(std::f64::consts::PI))?;
    for (name, function) in OF_ONE {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(number(context, 0).map(function))
        })?;
    }
    for (name, function) in ROUNDING {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(match context.get_raw(0) {
                ValueRef::Integer(whole) => Value::Integer(whole),
                _ => number(context, 0).map_or(Value::Null, |x| Value::Real(function(x))),
            })
        })?;
    }
    for (name, function) in OF_TWO {
        connection.create_scalar_function(name, 2, flags, move |context| {
            Ok(number(context, 0).zip(number(context, 1)).map(|(x, y)| function(x, y)))
        })?;
    }
    Ok(())
}

/// An argument as a number. `None`: it is none.
fn number(context: &Context<'_>, index: usize) -> Option<f64> {
    match context.get_raw(index) {
        ValueRef::Integer(whole) => Some(whole as f64),
        ValueRef::Real(real) => Some(real),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}
