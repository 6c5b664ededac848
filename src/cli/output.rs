use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};

/// No table can be read in fewer.
const FEWEST_COLUMNS: u16 = 40;

/// How to print for a person: with colour where stdout is a terminal that wants it (<https://no-color.org>).
#[derive(Debug, Clone, Copy)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// As this process's stdout wants it.
    #[must_use]
    pub fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && std::io::stdout().is_terminal() }
    }

    /// Whether there is colour.
    #[must_use]
    pub fn has_colour(self) -> bool {
        self.colour
    }

    /// A heading.
    #[must_use]
    pub fn heading(self, text: &str) -> String {
        self.wrap(text, "1;36")
    }

    /// Something good.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.wrap(text, "32")
    }

    /// Something bad.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.wrap(text, "1;31")
    }

    /// Something beside the point.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.wrap(text, "2")
    }

    /// An empty table with these column heads.
    #[must_use]
    pub fn table(self, heads: &[&str]) -> Table {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(heads);
        // Some terminals say that they have no columns at all.
        if table.width().is_none_or(|columns| columns < FEWEST_COLUMNS) {
            table.set_width(110);
        }
        table
    }

    fn wrap(self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Prints what is no line of text for a person.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), super::CommandError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}
