//! What goes over a socket, as JSON, and what may stand in it. It knows nothing of rooms.

use durable::prelude::*;
use durable::socket::Message;
use serde::{Deserialize, Serialize};

/// Characters of a member's name.
const NAME_CHARS_MAX: usize = 32;

/// Characters of a message.
const TEXT_CHARS_MAX: usize = 2_000;

/// Characters of the id that a client gives a message.
const ID_CHARS_MAX: usize = 64;

/// What a client sends.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Wish {
    /// To say something. Sent again with the same id it is the same message.
    Say { say: String, id: String },
    /// To let others see that something is being written, or no more.
    Typing { typing: bool },
}

/// What a client is sent.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Frame<'a> {
    /// The first one.
    Hello {
        you: &'a str,
        /// Everybody who is there, with whom it is sent to, by name.
        present: Vec<String>,
        /// The oldest first.
        messages: Vec<Said>,
        /// Between what the client has and the first of these there are others, or were.
        gap: bool,
        /// The number of the newest message; 0: nothing was ever said.
        last: i64,
    },
    /// Somebody has said something; whose id it has knows from it that it is stored.
    Message {
        #[serde(flatten)]
        said: &'a Said,
    },
    Joined {
        name: &'a str,
    },
    Left {
        name: &'a str,
    },
    Typing {
        name: &'a str,
        typing: bool,
    },
    /// A message came too soon after others and is not stored. It may come again after so many milliseconds.
    Slow {
        id: &'a str,
        wait_ms: u64,
    },
    /// Something cannot be, also if it is sent again. No id: it was not even read.
    Refused {
        id: Option<&'a str>,
        why: &'a str,
    },
}

impl Frame<'_> {
    /// # Errors
    /// None: all of it is texts and numbers.
    pub(crate) fn to_message(&self) -> Result<Message, Error> {
        Message::json(self)
    }
}

/// A message that is stored.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Said {
    /// Messages of a room are numbered from 1.
    pub(crate) seq: i64,
    /// Who has said it.
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) text: String,
    /// Milliseconds since 1970.
    pub(crate) at_ms: i64,
}

/// A member's name, without space around it. `None`: nobody can be called so.
pub(crate) fn to_name(name: &str) -> Option<&str> {
    let name = name.trim();
    let is_name = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    (is_name && !name.contains(char::is_control)).then_some(name)
}

/// A message, without control characters and space around it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn to_text(text: &str) -> Result<String, &'static str> {
    let is_kept = |sign: &char| !sign.is_control() || matches!(sign, '\n' | '\t');
    let text: String = text.chars().filter(is_kept).collect();
    match text.trim() {
        "" => Err("there is nothing in it"),
        text if text.chars().count() > TEXT_CHARS_MAX => Err("it has more than 2,000 characters"),
        text => Ok(text.to_owned()),
    }
}

/// Whether a message may have this id.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a query says of `name`, without its escapes. `None`: nothing, or it is no text.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
