//! The languages a document can be in, and how PostgreSQL stems each.
//!
//! A document stores its language's [`Language::code`]; its words are stemmed by the language's
//! text search configuration. Hangul, Han and Kana are indexed as character bigrams, so that Korean,
//! Japanese and Chinese documents need a configuration for their Latin words alone: the English one.

use std::fmt;

use super::script::EastAsian;

/// A language, with a PostgreSQL text search configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language {
    code: &'static str,
    iso_639_3: &'static str,
    name: &'static str,
    configuration: &'static str,
}

/// Says that a language is none of [`Language::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown language \"{given}\"; use one of: {}", allowed())]
pub struct UnknownLanguage {
    given: String,
}

/// A language whose PostgreSQL configuration bears its name.
const fn own(code: &'static str, iso_639_3: &'static str, name: &'static str) -> Language {
    Language { code, iso_639_3, name, configuration: name }
}

/// A language whose own script is indexed as bigrams.
const fn bigrams(code: &'static str, iso_639_3: &'static str, name: &'static str) -> Language {
    Language { code, iso_639_3, name, configuration: "english" }
}

impl Language {
    /// English.
    pub const ENGLISH: Self = own("en", "eng", "english");
    /// Korean.
    pub const KOREAN: Self = bigrams("ko", "kor", "korean");
    /// Japanese.
    pub const JAPANESE: Self = bigrams("ja", "jpn", "japanese");
    /// Chinese.
    pub const CHINESE: Self = bigrams("zh", "cmn", "chinese");
    /// Any other language: words are lower-cased, neither stemmed nor dropped as stop words.
    pub const SIMPLE: Self = own("simple", "und", "simple");

    /// Every language, in alphabetical order of the codes, [`Language::SIMPLE`] last.
    pub const ALL: [Self; 33] = [
        own("ar", "ara", "arabic"),
        own("ca", "cat", "catalan"),
        own("da", "dan", "danish"),
        own("de", "deu", "german"),
        own("el", "ell", "greek"),
        Self::ENGLISH,
        own("es", "spa", "spanish"),
        own("et", "est", "estonian"),
        own("eu", "eus", "basque"),
        own("fi", "fin", "finnish"),
        own("fr", "fra", "french"),
        own("ga", "gle", "irish"),
        own("hi", "hin", "hindi"),
        own("hu", "hun", "hungarian"),
        own("hy", "hye", "armenian"),
        own("id", "ind", "indonesian"),
        own("it", "ita", "italian"),
        Self::JAPANESE,
        Self::KOREAN,
        own("lt", "lit", "lithuanian"),
        own("ne", "nep", "nepali"),
        own("nl", "nld", "dutch"),
        own("no", "nob", "norwegian"),
        own("pt", "por", "portuguese"),
        own("ro", "ron", "romanian"),
        own("ru", "rus", "russian"),
        own("sr", "srp", "serbian"),
        own("sv", "swe", "swedish"),
        own("ta", "tam", "tamil"),
        own("tr", "tur", "turkish"),
        own("yi", "yid", "yiddish"),
        Self::CHINESE,
        Self::SIMPLE,
    ];

    /// Reads a language as people and programs write it: an ISO 639 code of two or three letters
    /// with or without a region (`en`, `EN`, `en-US`, `eng`), or its English name.
    pub fn from_code(given: &str) -> Result<Self, UnknownLanguage> {
        let lower = given.trim().to_ascii_lowercase();
        let primary = lower.split(['-', '_']).next().unwrap_or_default();
        let primary = match primary {
            // Both written forms of Norwegian share one stemmer.
            "nb" | "nn" | "nor" | "nno" => "no",
            "zho" => "zh",
            other => other,
        };
        Self::ALL
            .into_iter()
            .find(|language| [language.code, language.iso_639_3, language.name].contains(&primary))
            .ok_or_else(|| UnknownLanguage { given: given.chars().take(40).collect() })
    }

    /// The ISO 639-1 code, or `simple`: what `documents.language` holds.
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// The name in English, in lower case.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The PostgreSQL text search configuration that stems its words.
    pub const fn text_search_configuration(self) -> &'static str {
        self.configuration
    }

    /// The first major version of PostgreSQL, of those we serve (16 and later), that has the
    /// configuration. Before it, [`Language::SIMPLE`]'s must stand in.
    pub fn since_postgresql(self) -> u32 {
        if self.configuration == "estonian" { 18 } else { 16 }
    }

    /// The language of a text, where that is beyond doubt.
    ///
    /// Text that is mostly in Hangul, Kana or Han is told by script, other text by its trigrams
    /// (whatlang). A language for which PostgreSQL has no stemmer is [`Language::SIMPLE`]. `None`
    /// for a text too short or too mixed: the tenant's default holds then. Reads a sample of a long
    /// text.
    pub fn detect(text: &str) -> Option<Self> {
        let sample = sample(text);
        let letters = Letters::count(&sample);
        if let Some(language) = letters.east_asian() {
            return Some(language);
        }
        if letters.other < MIN_LETTERS {
            return None;
        }
        let info = whatlang::detect(&sample)?;
        let code = info.lang().code();
        info.is_reliable()
            .then(|| Self::ALL.into_iter().find(|language| language.iso_639_3 == code).unwrap_or(Self::SIMPLE))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

fn allowed() -> String {
    Language::ALL.map(Language::code).join(", ")
}

/// Fewer letters say too little by trigrams.
const MIN_LETTERS: usize = 40;
/// Fewer East Asian characters may be a name within a text of another language.
const MIN_EAST_ASIAN: usize = 5;
/// Bytes read at the head and again in the middle, where boilerplate has ended.
const SAMPLE_BYTES: usize = 4096;

fn sample(text: &str) -> String {
    if text.len() <= 2 * SAMPLE_BYTES {
        return text.to_owned();
    }
    let cut = |from: usize| {
        let bytes = &text.as_bytes()[from..from + SAMPLE_BYTES];
        // Whole characters between the two cuts: the halves of those at the edges go.
        String::from_utf8_lossy(bytes).replace(char::REPLACEMENT_CHARACTER, " ")
    };
    let middle = (text.len() / 2).min(text.len() - SAMPLE_BYTES);
    format!("{} {}", cut(0), cut(middle))
}

/// A count of a text's letters by script.
#[derive(Default)]
struct Letters {
    hangul: usize,
    han: usize,
    kana: usize,
    other: usize,
}

impl Letters {
    fn count(text: &str) -> Self {
        let mut letters = Self::default();
        for character in text.chars() {
            match EastAsian::of(character) {
                Some(EastAsian::Hangul) => letters.hangul += 1,
                Some(EastAsian::Han) => letters.han += 1,
                Some(EastAsian::Kana) => letters.kana += 1,
                None if character.is_alphabetic() => letters.other += 1,
                None => {}
            }
        }
        letters
    }

    /// The language of a text that is mostly in an East Asian script. One of its characters weighs
    /// as much as three letters, about what it says: Korean full of English terms is Korean.
    fn east_asian(&self) -> Option<Language> {
        let total = self.hangul + self.han + self.kana;
        if total < MIN_EAST_ASIAN || 3 * total <= self.other {
            return None;
        }
        if self.hangul >= self.han + self.kana {
            Some(Language::KOREAN)
        } else if 10 * self.kana >= self.han + self.kana {
            // Japanese prose is about half Kana; Chinese has none but in names.
            Some(Language::JAPANESE)
        } else {
            Some(Language::CHINESE)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_read_as_people_write_them() {
        for given in ["en", "EN", "en-US", "en_GB", "english", "English", "eng", " en "] {
            assert_eq!(Language::from_code(given), Ok(Language::ENGLISH), "{given}");
        }
        for given in ["zh", "zh-Hans-CN", "cmn", "zho", "Chinese"] {
            assert_eq!(Language::from_code(given), Ok(Language::CHINESE), "{given}");
        }
        assert_eq!(Language::from_code("nb-NO").map(Language::code), Ok("no"));
        assert_eq!(Language::from_code("simple"), Ok(Language::SIMPLE));
    }

    #[test]
    fn an_unknown_language_is_refused_with_what_is_allowed() {
        for given in ["", "xx", "klingon", "e", "-en"] {
            assert!(Language::from_code(given).is_err(), "{given}");
        }
        let message = Language::from_code("xx").unwrap_err().to_string();
        assert!(message.contains("\"xx\"") && message.contains("ar, ca,"), "{message}");
    }

    #[test]
    fn every_language_reads_back_and_none_stands_twice() {
        let mut seen = HashSet::new();
        for language in Language::ALL {
            for spelling in [language.code, language.iso_639_3, language.name] {
                assert_eq!(Language::from_code(spelling), Ok(language));
            }
            assert!(seen.insert(language.code));
        }
        assert!(Language::ALL[..32].is_sorted_by_key(|language| language.code));
        assert_eq!(Language::KOREAN.text_search_configuration(), "english");
    }

    #[test]
    fn languages_are_detected() {
        let texts = [
            ("en", "The board approved the budget for the coming year and asked for a report."),
            ("de", "Der Vorstand hat den Haushalt für das kommende Jahr genehmigt und berichtet."),
            (
                "fr",
                "Le conseil a approuvé le budget de l'année prochaine ; il a demandé un rapport sur les dépenses que les équipes ont faites cette année et sur celles qui restent.",
            ),
            ("ru", "Совет директоров утвердил бюджет на следующий год и попросил составить отчёт."),
            ("el", "Το διοικητικό συμβούλιο ενέκρινε τον προϋπολογισμό για το επόμενο έτος."),
            ("ko", "이사회는 내년도 예산을 승인하고 보고서를 요청했다."),
            ("ko", "PostgreSQL의 row level security를 쓰면 tenant마다 격리가 보장된다."),
            ("ja", "取締役会は来年度の予算を承認し、報告書を求めた。"),
            ("zh", "董事会批准了明年的预算，并要求提交一份报告。"),
            ("simple", "คณะกรรมการอนุมัติงบประมาณสำหรับปีหน้าและขอรายงานเกี่ยวกับเรื่องนี้ด้วย"),
        ];
        for (code, text) in texts {
            assert_eq!(Language::detect(text).map(Language::code), Some(code), "{text}");
        }
    }

    #[test]
    fn what_is_short_or_has_no_letters_is_not_guessed() {
        for text in ["", "OK", "Budget 2024", "12345 ".repeat(100).as_str(), "漢字", "☃".repeat(90).as_str()] {
            assert_eq!(Language::detect(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), times in 1_usize..3000) {
            Language::detect(&text.repeat(times));
            let _ = Language::from_code(&text);
        }
    }
}
