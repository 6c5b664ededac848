//! What is to happen to each call: a function of the seed and the call's number, so that driver and servers agree on it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::dice::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Insert,
    Usage,
    Search,
    Report,
}

impl Kind {
    pub const fn tool(self) -> &'static str {
        match self {
            Self::Insert => "insert_document",
            Self::Usage => "record_usage",
            Self::Search => "hybrid_search",
            Self::Report => "cost_report",
        }
    }

    pub const fn changes(self) -> bool {
        matches!(self, Self::Insert | Self::Usage)
    }
}

/// What goes wrong in the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    PanicBefore,
    PanicAfter,
    /// Past the deadline, the work done.
    Sleep,
    /// The same within a statement.
    SleepInDatabase,
    /// The work is done, and then the tool fails.
    FailAfter,
}

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub kind: Kind,
    pub fault: Fault,
    pub cancel_after: Option<Duration>,
    /// Its arguments do not fit.
    pub is_garbled: bool,
}

impl Plan {
    pub fn of(seed: u64, number: u64) -> Self {
        let mut dice = Dice::new(seed, number);
        let kind = match dice.below(100) {
            0..45 => Kind::Insert,
            45..65 => Kind::Usage,
            65..95 => Kind::Search,
            _ => Kind::Report,
        };
        let fault = match dice.below(1_000) {
            0..10 => Fault::PanicBefore,
            10..20 => Fault::PanicAfter,
            20..45 => Fault::Sleep,
            45..70 => Fault::SleepInDatabase,
            70..80 => Fault::FailAfter,
            _ => Fault::None,
        };
        let cancel_after =
            dice.chance(0.2).then(|| dice.duration(Duration::from_micros(100), Duration::from_millis(1_600)));
        Self { kind, fault, cancel_after, is_garbled: dice.chance(0.01) }
    }

    pub fn arguments(&self, number: u64) -> Map<String, Value> {
        let arguments = match self.kind {
            _ if self.is_garbled => json!({ "journal": number, "no_such_argument": true }),
            Kind::Insert => json!({
                "journal": number, "title": title(number),
                "content": format!("Call {number} stores what storms leave: word{} word{}.", number % 97, number % 89),
            }),
            Kind::Usage => json!({
                "journal": number, "model_name": "gpt-4o", "provider": "openai",
                "input_tokens": number % 1_000, "output_tokens": 7, "metadata": { "journal": number },
            }),
            Kind::Search => json!({ "journal": number, "query": format!("storms word{}", number % 97), "limit": 3 }),
            Kind::Report => json!({ "journal": number }),
        };
        arguments.as_object().cloned().unwrap_or_default()
    }
}

/// The title of the document that a call stores.
pub fn title(number: u64) -> String {
    format!("torture {number}")
}
