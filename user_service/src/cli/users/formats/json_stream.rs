//! A JSON document with one array of users: the document itself, or its member `users`.

use std::cell::RefCell;
use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::ReadError;

/// The member with the array.
const USERS: &str = "users";

/// Gives each entry to `each`, with its number from 1.
pub(super) fn each<E: From<ReadError>>(
    input: &mut dyn BufRead,
    each: impl FnMut(u64, Value) -> Result<(), E>,
) -> Result<(), E> {
    let stopped = RefCell::new(None);
    let seed = Entries { each, stopped: &stopped };
    let mut json = serde_json::Deserializer::from_reader(input);
    let read = seed.deserialize(&mut json).and_then(|()| json.end());
    if let Some(error) = stopped.take() {
        return Err(error);
    }
    Ok(read.map_err(of_json)?)
}

fn of_json(error: serde_json::Error) -> ReadError {
    let (line, column) = (error.line(), error.column());
    if error.is_io() {
        return ReadError::Io(error.into());
    }
    // The library's message quotes the data, which may be a hash.
    ReadError::Form(if error.is_eof() {
        format!("it is cut off: the JSON ends in the middle, at line {line}, column {column}")
    } else if error.is_data() {
        format!("it is neither an array nor an object with the array {USERS}")
    } else {
        format!("it is not JSON at line {line}, column {column}")
    })
}

/// Reads the document, and keeps what `each` stopped with: the library's error cannot carry it.
struct Entries<'a, F, E> {
    each: F,
    stopped: &'a RefCell<Option<E>>,
}

impl<'de, F: FnMut(u64, Value) -> Result<(), E>, E> DeserializeSeed<'de> for Entries<'_, F, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(u64, Value) -> Result<(), E>, E> Visitor<'de> for Entries<'_, F, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("users")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(entry) = sequence.next_element()? {
            number += 1;
            if let Err(error) = (self.each)(number, entry) {
                *self.stopped.borrow_mut() = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut entries = Some(self);
        while let Some(name) = map.next_key::<String>()? {
            match entries.take_if(|_| name == USERS) {
                Some(entries) => map.next_value_seed(entries)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // A realm that was exported without its users would otherwise count as one without any.
        if entries.is_some() { Err(A::Error::missing_field(USERS)) } else { Ok(()) }
    }
}
