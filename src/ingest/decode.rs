use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

/// The text of bytes: by their byte order mark, as UTF-8 if they are that, else by the encoding that `named` says or that they
/// look like.
///
/// # Errors
/// In words, if they are no text.
pub(super) fn text(bytes: &[u8], named: Option<&'static Encoding>) -> Result<String, String> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return Ok(encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned());
    }
    if bytes.contains(&0) {
        return Err("is no text: it has NUL bytes".to_owned());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text.to_owned());
    }
    let encoding = named.unwrap_or_else(|| {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
        detector.feed(bytes, true);
        detector.guess(None, Utf8Detection::Deny)
    });
    let (text, _, is_damaged) = encoding.decode(bytes);
    if is_damaged {
        return Err(format!("is no text in {}, which it looks like most", encoding.name()));
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_encodings_are_told_apart() {
        let korean = "올해 연차 휴가는 스물다섯 일이다. 내년에는 더 늘어난다고 이사회가 밝혔다.";
        let german = "Überstunden dürfen höchstens fünf Tage später ausgeglichen werden, größere nicht.";
        let japanese = "今年の有給休暇は二十五日です。来年はもっと増えると取締役会が発表しました。";
        for (label, words) in [("euc-kr", korean), ("windows-1252", german), ("shift_jis", japanese), ("utf-8", korean)]
        {
            let bytes = Encoding::for_label(label.as_bytes()).unwrap().encode(words).0;
            assert_eq!(text(&bytes, None).unwrap(), words, "{label}");
        }
        let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(korean.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(text(&utf16, None).unwrap(), korean);
        assert_eq!(text(b"\xef\xbb\xbfmark", None).unwrap(), "mark");
        assert!(text(b"\x7fELF\0\x01", None).unwrap_err().contains("NUL"));
    }
}
