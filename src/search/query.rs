//! What a query's text asks for: words, quoted phrases that must occur, and what must not.

/// A query's text, taken apart. `"…"` must occur as it stands, `-word` and `-"…"` must not; everything else is words, any of
/// which may occur.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// All words to score by, those of phrases among them.
    pub words: String,
    /// What must occur, word by word.
    pub phrases: Vec<String>,
    /// What must not occur: words and phrases.
    pub excluded: Vec<String>,
}

/// Phrases and exclusions beyond these are taken for words.
const MOST_CONDITIONS: usize = 8;

impl Query {
    /// Takes a text apart. No text is an error: a quote that is not closed and a hyphen within a word or by itself are text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let mut rest = text;
        let mut at_word_start = true;
        while let Some(c) = rest.chars().next() {
            let conditions = query.phrases.len() + query.excluded.len();
            let excludes = at_word_start && c == '-';
            let quoted = quoted(if excludes { &rest[1..] } else { rest });
            match quoted {
                Some((phrase, after)) if conditions < MOST_CONDITIONS => {
                    match excludes {
                        true => query.excluded.push(phrase.to_owned()),
                        false => {
                            query.words.push_str(phrase);
                            query.phrases.push(phrase.to_owned());
                        }
                    }
                    query.words.push(' ');
                    rest = after;
                    at_word_start = true;
                    continue;
                }
                _ => {}
            }
            if excludes && conditions < MOST_CONDITIONS {
                let word = rest[1..].split(char::is_whitespace).next().unwrap_or_default();
                // A dash, a rule of dashes or an arrow is punctuation.
                if word.starts_with(char::is_alphanumeric) {
                    query.excluded.push(word.to_owned());
                    rest = &rest[1 + word.len()..];
                    continue;
                }
            }
            query.words.push(c);
            at_word_start = c.is_whitespace();
            rest = &rest[c.len_utf8()..];
        }
        query.words = query.words.trim().to_owned();
        query
    }

    /// Whether something must or must not occur.
    #[must_use]
    pub fn has_conditions(&self) -> bool {
        !self.phrases.is_empty() || !self.excluded.is_empty()
    }
}

/// A quoted phrase with a word in it at the front of a text, and the text behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut chars = text.chars();
    let close = match chars.next()? {
        '"' => '"',
        '“' => '”',
        '„' => '“',
        '「' => '」',
        _ => return None,
    };
    let (phrase, after) = chars.as_str().split_once(close)?;
    phrase.contains(char::is_alphanumeric).then_some((phrase.trim(), after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (String, Vec<String>, Vec<String>) {
        let Query { words, phrases, excluded } = Query::parse(text);
        (words.split_whitespace().collect::<Vec<_>>().join(" "), phrases, excluded)
    }

    fn of(words: &str, phrases: &[&str], excluded: &[&str]) -> (String, Vec<String>, Vec<String>) {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        (words.to_owned(), owned(phrases), owned(excluded))
    }

    #[test]
    fn quotes_require_and_a_hyphen_excludes() {
        assert_eq!(parts("annual leave"), of("annual leave", &[], &[]));
        assert_eq!(parts("\"annual leave\" policy -draft"), of("annual leave policy", &["annual leave"], &["draft"]));
        assert_eq!(parts("leave -\"sick pay\" -old"), of("leave", &[], &["sick pay", "old"]));
        assert_eq!(parts("“연차 휴가” -퇴직"), of("연차 휴가", &["연차 휴가"], &["퇴직"]));
        assert_eq!(parts("-only"), of("", &[], &["only"]));
    }

    #[test]
    fn what_is_not_meant_so_is_text() {
        assert_eq!(parts("state-of-the-art"), of("state-of-the-art", &[], &[]));
        assert_eq!(parts("1 - 2 -- 3 -> 4 -"), of("1 - 2 -- 3 -> 4 -", &[], &[]));
        assert_eq!(parts("an \"open quote"), of("an \"open quote", &[], &[]));
        assert_eq!(parts("\"\" \" \" \"...\""), of("\"\" \" \" \"...\"", &[], &[]));
        assert_eq!(parts("6\" pipe"), of("6\" pipe", &[], &[]));
        let many = "-a ".repeat(20);
        assert_eq!(parts(&many).2.len(), MOST_CONDITIONS);
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(text in "\\PC*", odd in "[-\" ab“”]{0,20}") {
            for text in [text, odd] {
                let query = Query::parse(&text);
                prop_assert!(query.phrases.iter().chain(&query.excluded).all(|part| part.contains(char::is_alphanumeric)));
                prop_assert!(query.words.len() <= text.len() + MOST_CONDITIONS);
            }
        }
    }
}
