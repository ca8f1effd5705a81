//! Command lines, run by one side or the other.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::ground::Ground;

/// Whose commands.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a> {
    /// Debian's, in /usr/bin.
    Stock,
    /// Hull's, in this prefix.
    Hull(&'a Path),
}

/// Runs a line and says how long it took. `{}` in it stands for the ground's lxcpath, `{point}` for its mount point,
/// `{side}` for the side's name, `{pid}` for the first process of the container that runs; a program called `hull` or
/// `lxc-*` is the side's, any other the machine's. It must exit with `code`.
pub(crate) fn timed(line: &str, ground: &Ground, side: Side<'_>, code: i32) -> Result<Duration, String> {
    let point = ground.point.display().to_string();
    let line = line.replace("{point}", &point).replace("{}", &format!("{point}/lxc"));
    let line = line.replace("{side}", if matches!(side, Side::Stock) { "stock" } else { "hull" });
    let line = match line.contains("{pid}") {
        true => line.replace("{pid}", ground.running()?.trim()),
        false => line,
    };
    let (program, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let mut command = match side {
        Side::Hull(prefix) if program == "hull" || program.starts_with("lxc-") => {
            Command::new(prefix.join("bin").join(program))
        }
        Side::Stock if program.starts_with("lxc-") => Command::new(Path::new("/usr/bin").join(program)),
        _ => Command::new(program),
    };
    if let Some(configuration) = ground.lvm_configuration() {
        command.env("LVM_SYSTEM_DIR", configuration);
    }
    run(command.args(rest.split_ascii_whitespace()), &line, code)
}

/// Runs a line that is nobody's; it must succeed.
pub(crate) fn plain(line: &str) -> Result<(), String> {
    let mut words = line.split_ascii_whitespace();
    run(Command::new(words.next().unwrap_or_default()).args(words), line, 0).map(drop)
}

fn run(command: &mut Command, line: &str, code: i32) -> Result<Duration, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|e| format!("{line}: cannot be run: {e}"))?;
    // Not to its end: a process in the background may have inherited it.
    let status = child.wait().map_err(|e| format!("{line}: {e}"))?;
    let time = begun.elapsed();
    if status.code() == Some(code) {
        return Ok(time);
    }
    let mut said = String::new();
    if let Some(stderr) = &mut child.stderr {
        let _ = std::io::Read::read_to_string(stderr, &mut said);
    }
    Err(format!("{line}: {status}: {}", said.trim_end().replace('\n', "; ")))
}
