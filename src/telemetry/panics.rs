use std::any::Any;
use std::panic::PanicHookInfo;

/// Makes a panic a line of the log, with the place where it happened.
///
/// Its message stands there only if it was settled when the program was written: others hold values, such as the text in which
/// a character's bounds were missed.
pub(super) fn tell() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        if is_unread(info.payload()) {
            std::process::exit(UNREAD.into());
        }
        let place = info.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
        tracing::error!(place, why = settled(info.payload()), "a panic");
    }));
}

/// The exit code of a command whose output nobody reads any more, as behind `| head`: that of a program that SIGPIPE ended.
pub(crate) const UNREAD: u8 = 128 + 13;

/// Whether it is the end of what `println!` is read by (in std's words, for there is no other sign).
fn is_unread(payload: &dyn Any) -> bool {
    payload
        .downcast_ref::<String>()
        .is_some_and(|message| message.starts_with("failed printing to stdout: Broken pipe"))
}

/// Of messages those that hold no values.
fn settled(payload: &dyn Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(not shown: it holds values)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_without_values_are_shown() {
        let text = "a café";
        let missed = std::panic::catch_unwind(|| text[..6].len()).unwrap_err();
        assert!(missed.downcast_ref::<String>().is_some_and(|message| message.contains(text)), "the danger is real");
        assert_eq!(settled(&*missed), "(not shown: it holds values)");
        assert_eq!(settled(&*std::panic::catch_unwind(|| panic!("as asked")).unwrap_err()), "as asked");
    }
}
