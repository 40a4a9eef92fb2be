//! Shapes as people read them, one field or variant in each line, and back.

use super::{Named, PLAIN, Shape};
use crate::limits::SCHEMA_DEPTH_MAX;

/// The words of [`PLAIN`], in its order.
const WORDS: [&str; 16] = [
    "bool", "i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128", "f32", "f64",
    "char", "text", "nothing",
];

impl Shape {
    /// `indent`: spaces before the line that it ends on.
    pub(crate) fn text(&self, indent: usize) -> String {
        let mut text = String::new();
        self.print(indent, &mut text);
        text
    }

    fn print(&self, indent: usize, to: &mut String) {
        match self {
            Shape::Option(inner) => around("option<", &[inner], ">", indent, to),
            Shape::Seq(inner) => around("[", &[inner], "]", indent, to),
            Shape::Map(key, value) => around("map<", &[key, value], ">", indent, to),
            Shape::Tuple(members) => {
                around("(", &members.iter().collect::<Vec<_>>(), ")", indent, to);
            }
            Shape::Struct(fields) => lines(fields, indent, to, |field, to| {
                to.push_str(": ");
                field.print(indent + 2, to);
            }),
            Shape::Enum(variants) => {
                to.push_str("enum ");
                lines(variants, indent, to, |variant, to| match variant {
                    Shape::Unit => {}
                    Shape::Struct(_) => {
                        to.push(' ');
                        variant.print(indent + 2, to);
                    }
                    _ => variant.print(indent + 2, to),
                });
            }
            Shape::Schema => to.push_str("schema"),
            plain => {
                let place = PLAIN.iter().position(|known| known == plain);
                to.push_str(WORDS[place.expect("every other shape has parts")]);
            }
        }
    }

    /// What [`text`](Self::text) wrote.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = Words { rest: text };
        let shape = words.shape(0)?;
        match words.next() {
            Word::End => Ok(shape),
            other => Err(format!("{other:?} stands behind the schema")),
        }
    }
}

fn around(open: &str, parts: &[&Shape], close: &str, indent: usize, to: &mut String) {
    to.push_str(open);
    for (place, part) in parts.iter().enumerate() {
        to.push_str(if place == 0 { "" } else { ", " });
        part.print(indent, to);
    }
    to.push_str(close);
}

fn lines(all: &[Named], indent: usize, to: &mut String, print: impl Fn(&Shape, &mut String)) {
    to.push('{');
    for Named { name, shape } in all {
        to.push('\n');
        to.push_str(&" ".repeat(indent + 2));
        let is_word = name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.is_empty();
        if is_word {
            to.push_str(name);
        } else {
            to.push_str(&format!("{name:?}"));
        }
        print(shape, to);
    }
    if !all.is_empty() {
        to.push('\n');
        to.push_str(&" ".repeat(indent));
    }
    to.push('}');
}

/// What a text is made of.
struct Words<'t> {
    rest: &'t str,
}

#[derive(Debug, PartialEq)]
enum Word {
    Name(String),
    Sign(char),
    End,
}

impl Words<'_> {
    fn next(&mut self) -> Word {
        self.rest = self.rest.trim_start();
        let Some(first) = self.rest.chars().next() else { return Word::End };
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if is_word(first) {
            let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Word::Name(name.to_owned());
        }
        if first == '"' {
            return self.quoted();
        }
        self.rest = &self.rest[first.len_utf8()..];
        Word::Sign(first)
    }

    /// A name in quotes, as `{:?}` writes it: an escape stands for itself, or is `\n`, `\r`, `\t`, `\0` or `\u{…}`.
    fn quoted(&mut self) -> Word {
        let (mut name, mut chars) = (String::new(), self.rest[1..].char_indices());
        while let Some((at, c)) = chars.next() {
            let escaped = match c {
                '"' => {
                    self.rest = &self.rest[at + 2..];
                    return Word::Name(name);
                }
                '\\' => chars.next().map_or('\\', |(_, c)| c),
                c => {
                    name.push(c);
                    continue;
                }
            };
            match escaped {
                'n' => name.push('\n'),
                'r' => name.push('\r'),
                't' => name.push('\t'),
                '0' => name.push('\0'),
                'u' => {
                    let digits = chars.by_ref().map(|(_, c)| c).skip(1).take_while(|c| *c != '}');
                    let number = u32::from_str_radix(&digits.collect::<String>(), 16);
                    name.extend(number.ok().and_then(char::from_u32));
                }
                c => name.push(c),
            }
        }
        self.rest = "";
        Word::End
    }

    fn peek(&self) -> Word {
        Words { rest: self.rest }.next()
    }

    fn sign(&mut self, wanted: char) -> Result<(), String> {
        match self.next() {
            Word::Sign(found) if found == wanted => Ok(()),
            other => Err(format!("{other:?} stands where `{wanted}` should")),
        }
    }

    fn shape(&mut self, depth: usize) -> Result<Shape, String> {
        if depth > SCHEMA_DEPTH_MAX {
            return Err(format!("it is nested deeper than {SCHEMA_DEPTH_MAX} levels"));
        }
        let inner = |words: &mut Self| words.shape(depth + 1).map(Box::new);
        match self.next() {
            Word::Sign('[') => {
                let element = inner(self)?;
                self.sign(']').map(|()| Shape::Seq(element))
            }
            Word::Sign('(') => self.members(depth).map(Shape::Tuple),
            Word::Sign('{') => self.fields(depth).map(Shape::Struct),
            Word::Name(word) => match word.as_str() {
                "option" => {
                    self.sign('<')?;
                    let element = inner(self)?;
                    self.sign('>').map(|()| Shape::Option(element))
                }
                "map" => {
                    self.sign('<')?;
                    let key = inner(self)?;
                    self.sign(',')?;
                    let value = inner(self)?;
                    self.sign('>').map(|()| Shape::Map(key, value))
                }
                "enum" => self.sign('{').and_then(|()| self.variants(depth)).map(Shape::Enum),
                "schema" => Ok(Shape::Schema),
                word => {
                    let place = WORDS.iter().position(|known| *known == word);
                    let shape = place.map(|place| PLAIN[place].clone());
                    shape.ok_or_else(|| format!("`{word}` is no shape"))
                }
            },
            other => Err(format!("{other:?} stands where a shape should")),
        }
    }

    /// Up to the closing `)`.
    fn members(&mut self, depth: usize) -> Result<Vec<Shape>, String> {
        let mut members = Vec::new();
        while self.peek() != Word::Sign(')') {
            if !members.is_empty() {
                self.sign(',')?;
            }
            members.push(self.shape(depth + 1)?);
        }
        self.sign(')').map(|()| members)
    }

    /// Up to the closing `}`.
    fn fields(&mut self, depth: usize) -> Result<Vec<Named>, String> {
        let mut fields = Vec::new();
        loop {
            match self.next() {
                Word::Sign('}') => return Ok(fields),
                Word::Name(name) => {
                    self.sign(':')?;
                    fields.push(Named { name, shape: self.shape(depth + 1)? });
                }
                other => return Err(format!("{other:?} stands where a field should")),
            }
        }
    }

    /// Up to the closing `}`.
    fn variants(&mut self, depth: usize) -> Result<Vec<Named>, String> {
        let mut variants = Vec::new();
        loop {
            let name = match self.next() {
                Word::Sign('}') => return Ok(variants),
                Word::Name(name) => name,
                other => return Err(format!("{other:?} stands where a variant should")),
            };
            let shape = match self.peek() {
                Word::Sign('(' | '{') => self.shape(depth + 1)?,
                _ => Shape::Unit,
            };
            variants.push(Named { name, shape });
        }
    }
}
