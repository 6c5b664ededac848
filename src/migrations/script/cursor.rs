//! The tokens of a script: words, semicolons and parentheses; comments and quotes are stepped over.

use super::ScriptError;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    Semicolon,
    Open,
    Close,
    Other,
}

/// A place in the text.
pub(super) struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    /// The next token and the line that it starts on.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Token<'a>)>, ScriptError> {
        loop {
            let Some(first) = self.rest.chars().next() else {
                return Ok(None);
            };
            if first.is_whitespace() {
                self.take(first.len_utf8());
            } else if self.rest.starts_with("--") {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.comment()?;
            } else {
                let line = self.line;
                return Ok(Some((line, self.token(first)?)));
            }
        }
    }

    fn token(&mut self, first: char) -> Result<Token<'a>, ScriptError> {
        let simple = match first {
            ';' => Token::Semicolon,
            '(' => Token::Open,
            ')' => Token::Close,
            '\'' => return self.quoted('\'', false),
            '"' => return self.quoted('"', false),
            '$' => return self.dollar_quoted(),
            '\\' => return Err(self.error("psql's backslash commands are not SQL")),
            _ if is_word(first) => return self.word(),
            _ => Token::Other,
        };
        self.take(first.len_utf8());
        Ok(simple)
    }

    fn word(&mut self) -> Result<Token<'a>, ScriptError> {
        // A dollar sign continues a word, so that a$b$ opens no quote.
        let end = self.rest.find(|c| !is_word(c) && c != '$');
        let word = self.take(end.unwrap_or(self.rest.len()));
        if word.eq_ignore_ascii_case("e") && self.rest.starts_with('\'') {
            return self.quoted('\'', true);
        }
        Ok(Token::Word(word))
    }

    fn quoted(&mut self, quote: char, backslash: bool) -> Result<Token<'a>, ScriptError> {
        let mut inside = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = inside.next() {
            if backslash && c == '\\' {
                inside.next();
            } else if c == quote && inside.next_if(|(_, next)| *next == quote).is_none() {
                self.take(at + 1);
                return Ok(Token::Other);
            }
        }
        Err(self.error(&format!("this quote ({quote}) is never closed")))
    }

    fn dollar_quoted(&mut self) -> Result<Token<'a>, ScriptError> {
        let tag_length = self.rest[1..].find(|c| !is_word(c));
        let tag = tag_length.map(|length| &self.rest[1..=length]);
        let is_quote = tag.is_some_and(|tag| {
            self.rest[1 + tag.len()..].starts_with('$') && !tag.starts_with(|c: char| c.is_ascii_digit())
        });
        let Some(tag) = tag.filter(|_| is_quote) else {
            // A parameter ($1) or a stray sign: the server will judge it.
            self.take(1);
            return Ok(Token::Other);
        };
        let delimiter = format!("${tag}$");
        let body = &self.rest[delimiter.len()..];
        match body.find(&delimiter) {
            Some(at) => {
                self.take(at + 2 * delimiter.len());
                Ok(Token::Other)
            }
            None => Err(self.error(&format!("this quote ({delimiter}) is never closed"))),
        }
    }

    /// Steps over a comment; PostgreSQL's nest.
    fn comment(&mut self) -> Result<(), ScriptError> {
        let (mut at, mut depth) = (0, 0_usize);
        let bytes = self.rest.as_bytes();
        while at < bytes.len() {
            match bytes.get(at..at + 2) {
                Some(b"/*") => (at, depth) = (at + 2, depth + 1),
                Some(b"*/") => (at, depth) = (at + 2, depth - 1),
                _ => at += 1,
            }
            if depth == 0 {
                self.take(at);
                return Ok(());
            }
        }
        Err(self.error("this comment is never closed"))
    }

    /// Steps over `length` bytes, counting their lines.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn error(&self, reason: &str) -> ScriptError {
        let reason = reason.to_owned();
        ScriptError { line: self.line, reason }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric() || !c.is_ascii()
}
