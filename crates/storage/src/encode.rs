//! Names of any bytes in the journal's text: UTF-8 stays readable, the rest is percent-encoded.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Spells `name`: what is printable UTF-8 and not `%` as itself, every other byte as `%XX`.
pub(crate) fn spell(name: &OsStr) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() {
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| out.push_str(&format!("%{b:02X}")));
    }
    out
}

/// Reads what [`spell`] wrote; `None` for anything it cannot have written.
pub(crate) fn read(text: &str) -> Option<OsString> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    Some(OsString::from_vec(out))
}

/// For `#[serde(with)]` on `OsString`s and what they convert to.
pub(crate) mod os {
    use super::{read, spell};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::ffi::{OsStr, OsString};

    pub(crate) fn serialize<S: Serializer>(name: impl AsRef<OsStr>, s: S) -> Result<S::Ok, S::Error> {
        spell(name.as_ref()).serialize(s)
    }

    pub(crate) fn deserialize<'d, T: From<OsString>, D: Deserializer<'d>>(d: D) -> Result<T, D::Error> {
        let text = String::deserialize(d)?;
        read(&text).map(T::from).ok_or_else(|| D::Error::custom("a name with a broken % escape"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        let odd = OsString::from_vec((0..=255).chain(b"%41\xc3\xa9".iter().copied()).collect());
        assert_eq!(read(&spell(&odd)).unwrap(), odd);
        assert_eq!(spell(OsStr::new("/a b/é")), "/a b/é");
        assert!(read("%4").is_none() && read("%zz").is_none());
    }
}
