//! The East Asian scripts, which are indexed by character and not by word.

/// A script whose text is indexed as character bigrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EastAsian {
    /// Korean syllables and letters.
    Hangul,
    /// Chinese characters, in whichever language.
    Han,
    /// Japanese Hiragana and Katakana.
    Kana,
}

impl EastAsian {
    /// The East Asian script that a character belongs to, by Unicode block; `None` for any other.
    pub const fn of(character: char) -> Option<Self> {
        match character {
            '\u{1100}'..='\u{11FF}'
            | '\u{3130}'..='\u{318F}'
            | '\u{A960}'..='\u{A97F}'
            | '\u{AC00}'..='\u{D7FF}'
            | '\u{FFA0}'..='\u{FFDC}' => Some(Self::Hangul),
            '\u{3041}'..='\u{309F}'
            | '\u{30A1}'..='\u{30FA}'
            | '\u{30FC}'..='\u{30FF}'
            | '\u{31F0}'..='\u{31FF}'
            | '\u{FF66}'..='\u{FF9F}' => Some(Self::Kana),
            '\u{3005}'..='\u{3007}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFF}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{20000}'..='\u{323AF}' => Some(Self::Han),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_is_told_from_the_others() {
        assert_eq!(EastAsian::of('한'), Some(EastAsian::Hangul));
        assert_eq!(EastAsian::of('漢'), Some(EastAsian::Han));
        assert_eq!(EastAsian::of('か'), Some(EastAsian::Kana));
        assert_eq!(EastAsian::of('ー'), Some(EastAsian::Kana));
        for other in ['a', 'é', 'Ж', '1', '。', '・', 'ไ', '🦀'] {
            assert_eq!(EastAsian::of(other), None, "{other}");
        }
    }
}
