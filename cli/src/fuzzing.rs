//! What is done with arbitrary bytes: the body of a fuzz target, which is a property test too.

use crate::commands::run::config::Settings;

/// A file of settings: understood, or refused in one line that names one of the file's.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Settings::parse(text) {
        Ok(settings) => {
            let _ = settings.is_bootnode();
        }
        Err((line, message)) => {
            let lines = text.matches('\n').count() + 1;
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {message}");
            assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use peerage_machine::fuzzing::replay;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(listen|static|max-peers|net-restrict|echo|log)? ?=? ?[\\[\"0-9a-z/:.,\\]\n]{0,40}") {
            config(text.as_bytes());
        }
    }

    #[test]
    fn what_was_found_or_is_known_is_survived() {
        replay(env!("CARGO_MANIFEST_DIR"), &[("config", config)]);
    }
}
