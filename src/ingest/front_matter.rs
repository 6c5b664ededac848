use serde_json::{Map, Value};

/// What YAML between two lines of `---` at the head of a text says, and the text behind it. Nothing, and all of the text, where
/// there is none.
///
/// # Errors
/// In words, if there is some that cannot be read.
pub(super) fn split(text: &str) -> Result<(Map<String, Value>, &str), String> {
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else {
        return Ok((Map::new(), text));
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if matches!(line.trim_end(), "---" | "...") {
            let (yaml, body) = (&rest[..at], &rest[at + line.len()..]);
            return match serde_saphyr::from_str::<Value>(yaml) {
                Ok(Value::Object(fields)) => Ok((fields, body)),
                Ok(Value::Null) => Ok((Map::new(), body)),
                // A text between two rules is no front matter.
                Ok(_) => Ok((Map::new(), text)),
                Err(error) => {
                    let error = error.to_string();
                    let line = error.lines().next().unwrap_or_default();
                    Err(format!("has front matter that is no YAML: {line}"))
                }
            };
        }
        at += line.len();
    }
    Ok((Map::new(), text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn front_matter_is_read_and_cut_off() {
        let (fields, body) = split("---\ntitle: A b\ntags: [x, 2]\ndate: 2026-03-01\n---\n# Body\n").unwrap();
        assert_eq!(Value::Object(fields), json!({ "title": "A b", "tags": ["x", 2], "date": "2026-03-01" }));
        assert_eq!(body, "# Body\n");
        for plain in ["no front matter", "---\nnever closed", "---\njust words\n---\nmore", ""] {
            assert_eq!(split(plain).unwrap(), (Map::new(), plain));
        }
        assert!(split("---\na: [\n---\nbody").unwrap_err().starts_with("has front matter that is no YAML"));
        // An alias bomb ends by the reader's budget.
        let bomb = (0..30).fold("---\na0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, at| {
            let list = format!("*a{at},").repeat(9);
            format!("{text}a{}: &a{} [{}]\n", at + 1, at + 1, list.trim_end_matches(','))
        });
        assert!(split(&format!("{bomb}---\nbody")).is_err());
    }
}
