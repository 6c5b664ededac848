use std::fmt::Display;

/// One argument that cannot be used: what was given and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the argument, for example `filter.created_after`.
    pub field: String,
    /// The problem in a sentence that a model can act on.
    pub text: String,
}

/// All that is wrong with a call's arguments, reported together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, field: impl Into<String>, text: impl Display) {
        self.0.push(Problem { field: field.into(), text: text.to_string() });
    }

    /// A single problem.
    #[must_use]
    pub fn one(field: impl Into<String>, text: impl Display) -> Self {
        let mut problems = Self::default();
        problems.add(field, text);
        problems
    }

    /// `Ok(value)` if nothing is wrong.
    ///
    /// # Errors
    /// Itself, if anything is.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// A text without NUL (which PostgreSQL cannot store) of a bounded length in characters, not blank.
    pub fn text(&mut self, field: &str, value: &str, longest: usize) {
        let length = value.chars().count();
        if value.trim().is_empty() {
            self.add(field, format_args!("is empty; give 1 to {longest} characters of text"));
        } else if length > longest {
            self.add(field, format_args!("has {length} characters; at most {longest} are allowed"));
        }
        if let Some(at) = value.chars().position(|c| c == '\0') {
            self.add(field, format_args!("has a NUL character at position {at}; remove it"));
        }
    }

    /// A number within bounds.
    pub fn range<N: PartialOrd + Copy + Display>(&mut self, field: &str, value: N, least: N, most: N) {
        // A NaN is in no range.
        if !(value >= least && value <= most) {
            self.add(field, format_args!("is {value}; allowed is {least} to {most}"));
        }
    }

    /// An embedding: the database's number of dimensions, every component finite, not all zero.
    pub fn embedding(&mut self, field: &str, vector: &[f32], dimensions: usize) {
        if vector.len() != dimensions {
            self.add(
                field,
                format_args!("has {} dimensions; this database holds vectors of {dimensions}", vector.len()),
            );
        } else if let Some(at) = vector.iter().position(|x| !x.is_finite()) {
            self.add(
                field,
                format_args!("has the component {} at index {at}; every component must be a finite number", vector[at]),
            );
        } else {
            let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
            // A vector too short to be scaled to length one has no direction to compare.
            if norm < 1e-12 {
                self.add(field, "has only zeros (or nearly); a direction is needed to compare by cosine");
            }
        }
    }

    /// A JSON object without NUL characters, of bounded size and depth.
    pub fn metadata(&mut self, field: &str, object: &serde_json::Map<String, serde_json::Value>, longest_bytes: usize) {
        let bytes = serde_json::to_string(object).map_or(0, |text| text.len());
        if bytes > longest_bytes {
            self.add(field, format_args!("takes {bytes} bytes as JSON; at most {longest_bytes} are allowed"));
        }
        if object.iter().any(|(key, value)| key.contains('\0') || has_nul(value)) {
            self.add(field, "has a NUL character (\\u0000); remove it");
        }
    }

    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

/// PostgreSQL's jsonb cannot hold U+0000. Depth is bounded by the JSON parser's own limit of 128.
fn has_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(has_nul),
        serde_json::Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Problem { field, text }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "`{field}` {text}")?;
        }
        Ok(())
    }
}
