//! Whether a text is in a language that a model knows.
//!
//! A query is often too short to tell its language. Its script still shows what it cannot be: a model of English has
//! nothing to say to Hangul, and votes on whatever is written in Latin letters unless that is clearly another language.

use whatlang::Script;

use crate::documents::language::Language;
use crate::documents::script::EastAsian;

/// Why the text is foreign to a model of these languages; `None` if it is not.
pub(super) fn foreign(languages: &[Language], text: &str) -> Option<String> {
    if let Some(language) = Language::detect(text) {
        return (!languages.contains(&language)).then(|| match language {
            Language::SIMPLE => "the query is in a language that the embedding model does not cover".to_owned(),
            language => format!("the embedding model does not cover the query's language ({})", language.name()),
        });
    }
    // Too short to tell by words. Any East Asian character weighs as much as a word.
    let is_east_asian = text.chars().any(|character| EastAsian::of(character).is_some());
    let script = match is_east_asian {
        true => None,
        false => Some(whatlang::detect_script(text)?),
    };
    let is_known = languages.iter().any(|language| match (script, script_of(*language)) {
        (None, own) => own.is_none(),
        (Some(script), own) => own == Some(script),
    });
    (!is_known).then(|| "the embedding model does not cover the query's script".to_owned())
}

/// The script that a language is written in; `None` for East Asian ones.
fn script_of(language: Language) -> Option<Script> {
    Some(match language.code() {
        "ko" | "ja" | "zh" => return None,
        "ru" | "sr" => Script::Cyrillic,
        "el" => Script::Greek,
        "ar" => Script::Arabic,
        "hi" | "ne" => Script::Devanagari,
        "ta" => Script::Tamil,
        "hy" => Script::Armenian,
        "yi" => Script::Hebrew,
        _ => Script::Latin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_english_model_votes_on_english_alone() {
        let english = [Language::ENGLISH];
        for text in
            ["annual leave", "GDPR", "404", "How long may personal data be kept after a contract has ended?", ""]
        {
            assert_eq!(foreign(&english, text), None, "{text}");
        }
        for text in [
            "연차",
            "휴가는 며칠인가요?",
            "GDPR 보존 기간",
            "отпуск",
            "άδεια",
            "Wie lange dürfen personenbezogene Daten nach dem Ende eines Vertrages aufbewahrt werden?",
        ] {
            assert!(foreign(&english, text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_korean_model_votes_on_korean() {
        assert_eq!(foreign(&[Language::KOREAN], "연차"), None);
        assert!(foreign(&[Language::KOREAN], "annual leave").is_some());
        assert_eq!(foreign(&[Language::KOREAN, Language::ENGLISH], "annual leave 연차"), None);
    }
}
