//! Changing a configuration: the text as LXC would write it, the values in effect worked out anew.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Assigns, Config, Expansion, OwnLine, evaluate};
use crate::error::{Error, Fault, Result};
use crate::hwaddr;
use crate::include::IncludeReader;
use crate::keys::{self, Family, Key, Repeat};
use crate::value::Value;

impl Config {
    /// Sets a key as LXC's `set_config_item` does: a key of which the last assignment counts gets this
    /// value, a key with a list gets one more element, an empty value clears the key. A hardware address
    /// with `x` is filled in at random.
    ///
    /// LXC appends a line each time; here a key that has a line keeps it, so that the file does not grow
    /// and comments stay beside what they explain. Legacy keys in the text are rewritten in passing.
    ///
    /// Fails when there is no such key or the value is not one of its values; then nothing has changed.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let found = self.find(key)?;
        if value.is_empty() {
            return self.clear(key);
        }
        let filled;
        let value = if found.spec.value == Value::HardwareAddress {
            found.spec.value.canonical(None, value).map_err(|fault| self.refuse(key, fault))?;
            filled = hwaddr::fill(value);
            &filled
        } else {
            value
        };
        let line = self.line(&found, value)?;
        let lines = self.modern_lines();
        if found.spec.repeat != Repeat::Last {
            return self.commit(with(lines, line));
        }
        if begins_network(&found) {
            let others = lines.into_iter().filter(|line| !self.concerns(line, &found)).collect();
            return self.commit(with(others, line));
        }
        if let Some(state) = self.try_in_place(&lines, &found, &line, value) {
            *self = state;
            return Ok(());
        }
        let others = lines.into_iter().filter(|line| !self.concerns(line, &found)).collect();
        self.commit(with(others, line))
    }

    /// Adds an element to a key with a list. Fails as [`Config::set`], and for a key without a list.
    pub fn append(&mut self, key: &str, value: &str) -> Result<()> {
        let found = self.find(key)?;
        if found.spec.repeat == Repeat::Last {
            return Err(self.refuse(key, Fault::new("the key holds one value, not a list", "set it instead")));
        }
        if value.is_empty() {
            return Err(
                self.refuse(key, Fault::new("an empty element would clear the list", "clear it instead"))
            );
        }
        self.set(key, value)
    }

    /// Gives a key these elements and no others. Fails as [`Config::set`]; then nothing has changed.
    pub fn replace(&mut self, key: &str, values: &[&str]) -> Result<()> {
        let mut changed = self.clone();
        changed.clear(key)?;
        for value in values.iter().filter(|value| !value.is_empty()) {
            changed.set(key, value)?;
        }
        *self = changed;
        Ok(())
    }

    /// Clears a key, a family (`lxc.cgroup2`), all networks (`lxc.net`) or one (`lxc.net.0`).
    ///
    /// The key's own lines go. Where an included file sets it, a line that clears it is added: LXC forgets
    /// to, and the values are back when it next reads the file.
    pub fn clear(&mut self, key: &str) -> Result<()> {
        let found = self.find(key)?;
        let kept: Vec<OwnLine> =
            self.modern_lines().into_iter().filter(|line| !self.concerns(line, &found)).collect();
        let state = evaluate(&kept, &self.origin)?;
        let remains = state.entries.iter().any(|entry| covers(&found, &entry.key, entry.net));
        if remains {
            // A network is cleared as a whole: its other keys mean little without its type.
            let name = match found.net {
                Some(index) if begins_network(&found) => format!("lxc.net.{index}"),
                _ => found.name.clone(),
            };
            let line = OwnLine {
                text: format!("{name} =\n").into_bytes(),
                assigns: Assigns::Own { key: name, value: String::new() },
            };
            return self.commit(with(kept, line));
        }
        self.lines = kept;
        self.state = state;
        Ok(())
    }

    /// Adds an `lxc.include` line and follows it.
    pub fn include(&mut self, value: &str, includes: &dyn IncludeReader) -> Result<()> {
        check_text(value).map_err(|fault| self.refuse("lxc.include", fault))?;
        let mut found = Vec::new();
        let number = self.lines.len() + 1;
        Expansion::new(Some(includes), &self.origin).include(value, &self.origin, number, &mut found)?;
        let text = format!("lxc.include = {}\n", quote(value)).into_bytes();
        self.commit(with(self.lines.clone(), OwnLine { text, assigns: Assigns::Included(found) }))
    }

    /// Names the file the text will stand in from now on, for messages and relative includes.
    pub fn set_origin(&mut self, origin: &Path) {
        let old = std::mem::replace(&mut self.origin, origin.into());
        for setting in &mut self.state.settings {
            if Arc::ptr_eq(&setting.file, &old) {
                setting.file = self.origin.clone();
            }
        }
    }

    /// Puts these lines in place of the text, if they make a configuration.
    pub(crate) fn commit(&mut self, lines: Vec<OwnLine>) -> Result<()> {
        self.state = evaluate(&lines, &self.origin)?;
        self.lines = lines;
        Ok(())
    }

    /// The lines with legacy keys in today's spelling: what such a line means depends on the lines above
    /// it (`lxc.network.type` counts), so it must not see a change. LXC can read the result again.
    pub(crate) fn modern_lines(&self) -> Vec<OwnLine> {
        let mut lines = self.lines.clone();
        for line in &mut lines {
            if let Assigns::Own { key, .. } = &line.assigns
                && crate::legacy::is_dropped(key)
            {
                line.text.splice(0..0, *b"# ");
                line.assigns = Assigns::Nothing;
            }
        }
        let own = self.state.settings.iter().filter(|setting| Arc::ptr_eq(&setting.file, &self.origin));
        for setting in own.filter(|setting| setting.legacy.is_some()) {
            if let Some(line) = lines.get_mut(setting.line - 1) {
                let end = line_end(&line.text);
                line.text =
                    [format!("{} = {}", setting.key, quote(&setting.value)).as_bytes(), end.as_bytes()]
                        .concat();
                line.assigns = Assigns::Own { key: setting.key.clone(), value: setting.value.clone() };
            }
        }
        lines
    }

    /// Puts the new value where the key's last own line stands. `None` when there is no such line, or when
    /// a later include would overrule it.
    fn try_in_place(&self, lines: &[OwnLine], key: &Key, line: &OwnLine, value: &str) -> Option<Self> {
        let last = lines.iter().rposition(|old| self.concerns(old, key))?;
        let lines =
            lines.iter().enumerate().filter(|(index, old)| *index == last || !self.concerns(old, key));
        let lines: Vec<_> = lines
            .map(|(index, old)| if index == last { with_value(old, value, line) } else { old.clone() })
            .collect();
        let state = evaluate(&lines, &self.origin).ok()?;
        let took_effect = state.values(&key.name).eq([value]);
        took_effect.then(|| Self { origin: self.origin.clone(), lines, state })
    }

    fn find(&self, key: &str) -> Result<Key> {
        keys::lookup(key).ok_or_else(|| {
            let remedy = if key == "lxc.include" {
                "edit the file to change what it includes".to_owned()
            } else {
                format!("{} is the closest Hull knows", keys::closest(key))
            };
            self.refuse(key, Fault::new("no such key to set", remedy))
        })
    }

    fn line(&self, key: &Key, value: &str) -> Result<OwnLine> {
        check_text(value).map_err(|fault| self.refuse(&key.name, fault))?;
        Ok(OwnLine {
            text: format!("{} = {}\n", key.name, quote(value)).into_bytes(),
            assigns: Assigns::Own { key: key.name.clone(), value: value.to_owned() },
        })
    }

    /// Whether an own line is about the key, or about a part of it.
    fn concerns(&self, line: &OwnLine, key: &Key) -> bool {
        let Assigns::Own { key: name, .. } = &line.assigns else { return false };
        keys::lookup(name).is_some_and(|own| covers(key, &own.name, own.net))
    }

    fn refuse(&self, key: &str, fault: Fault) -> Error {
        Error::new(&self.origin, fault).key(key)
    }
}

/// Whether clearing `key` clears `name`, which may belong to a network.
fn covers(key: &Key, name: &str, net: Option<u32>) -> bool {
    if key.spec.family == Family::Net && key.net.is_none() {
        return name == "lxc.net" || net.is_some();
    }
    if begins_network(key) {
        return net == key.net;
    }
    let in_family = key.suffix.is_none()
        && key.spec.family == Family::Suffix
        && keys::lookup(name).is_some_and(|other| other.net.is_none() && other.spec == key.spec);
    in_family || name == key.name
}

/// `lxc.net.N` and `lxc.net.N.type` stand for the network as a whole.
fn begins_network(key: &Key) -> bool {
    key.net.is_some() && (key.suffix.is_none() || key.spec.name == "type")
}

/// Appends a line, ending the one before it if need be.
fn with(mut lines: Vec<OwnLine>, line: OwnLine) -> Vec<OwnLine> {
    if let Some(last) = lines.last_mut()
        && !last.text.ends_with(b"\n")
    {
        last.text.push(b'\n');
    }
    lines.push(line);
    lines
}

/// The old line with another value, its spelling around the value kept.
pub(crate) fn with_value(old: &OwnLine, value: &str, new: &OwnLine) -> OwnLine {
    let Some(equals) = old.text.iter().position(|byte| *byte == b'=') else { return new.clone() };
    let blanks = old.text[equals + 1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let head = &old.text[..=equals + blanks];
    let text = [head, quote(value).as_bytes(), line_end(&old.text).as_bytes()].concat();
    OwnLine { text, assigns: new.assigns.clone() }
}

fn line_end(text: &[u8]) -> &'static str {
    if text.ends_with(b"\r\n") {
        "\r\n"
    } else if text.ends_with(b"\n") {
        "\n"
    } else {
        ""
    }
}

/// Puts quotes around a value that reading would otherwise trim or unquote.
pub(crate) fn quote(value: &str) -> String {
    if value.trim() != value || crate::syntax::unquote(value) != value {
        format!("\"{value}\"")
    } else {
        value.to_owned()
    }
}

/// A value is one line of text.
pub(crate) fn check_text(value: &str) -> Result<(), Fault> {
    if value.contains(['\n', '\0']) {
        return Err(Fault::new("the value holds a line end or a NUL byte", "use a value of one line"));
    }
    if value.len() > 1 << 16 {
        return Err(Fault::new("the value is longer than 64 KiB", "use a shorter value"));
    }
    Ok(())
}
