use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields;
use crate::call::{Action, Ahead, Answer, Call, Failure, Hints, Problems, Tool};
use crate::costs::{self, Budget, Estimate, Priced, Refusal, Reservation, Usage, usd};
use crate::db::DbError;
use crate::documents::idempotency::{self, Claim, Fingerprint, Key};
use crate::identity::Scope;

/// Most tokens of one call, so that a slip of the keyboard cannot fill the ledger.
const MOST_TOKENS: i32 = 1_000_000_000;
const LONGEST_KIND: usize = 100;
const LARGEST_METADATA_BYTES: usize = 16_384;

/// `record_usage`.
pub struct RecordUsage;

/// Arguments of `record_usage`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The model's name as in its provider's price list, for example gpt-4o.
    model_name: String,
    /// The model's provider, for example openai, anthropic or ollama.
    provider: String,
    /// Tokens sent to the model, those from the provider's cache among them.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    input_tokens: i64,
    /// Of input_tokens, those that the provider read from its cache and prices lower; 0 if absent. Where a provider counts them apart (Anthropic's cache_read_input_tokens), add them to input_tokens.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    cached_input_tokens: Option<i64>,
    /// Tokens the model wrote.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    output_tokens: i64,
    /// What the tokens were spent for, for example chat, generate or search: one of a few names, which costs are summed by, and never an id of a single request (metadata is for that). At most 100 letters, digits, spaces and any of . _ - / :
    operation: Option<String>,
    /// The tool or agent that spent them, for reports by tool: one of a few names as well.
    tool: Option<String>,
    /// A JSON object to keep with the row.
    metadata: Option<Map<String, Value>>,
    /// Your own name for this very usage, at most 200 characters: a repeated call with it records nothing and gets the first answer.
    idempotency_key: Option<String>,
}

/// A checked usage.
pub struct Request {
    usage: Usage,
    idempotency_key: Option<String>,
    /// Why its money is not held.
    refusal: Option<Refusal>,
}

/// The priced row.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Number of the ledger's row.
    id: i64,
    /// USD for input, cached or not, as a decimal number in text.
    input_cost_usd: String,
    /// USD for output.
    output_cost_usd: String,
    /// USD for both.
    total_cost_usd: String,
    /// False if the model has no list price and your operator lets such usage be recorded: it then counts as 0 USD.
    priced: bool,
    /// Where the budget stands now: OK, WARNING or EXCEEDED.
    budget_status: String,
    /// True if this is the first answer to the same idempotency_key: nothing was recorded now.
    repeated: bool,
}

impl Tool for RecordUsage {
    type Input = Input;
    type Request = Request;
    type Output = Output;

    const NAME: &'static str = "record_usage";
    const TITLE: &'static str = "Record model usage";
    const DESCRIPTION: &'static str = "Report tokens that you spent on a model, so that they are priced and counted against your organisation's budget. \
Call it once for each model call: calling it again records the usage again, unless it carries the same idempotency_key. A model without a list price is refused unless your operator lets it be recorded unpriced, \
and so is what does not fit into a budget that your operator made hard: nothing is recorded then.";
    const SCOPE: Scope = Scope::CostsWrite;
    const ACTION: Action = Action::Record;
    const HINTS: Hints = Hints { read_only: false, idempotent: false, destructive: false };

    fn check(&self, input: Input) -> Result<Request, Problems> {
        let mut problems = Problems::default();
        problems.text("model_name", &input.model_name, 200);
        problems.text("provider", &input.provider, 100);
        let mut tokens = |field: &str, count: i64| {
            problems.range(field, count, 0, i64::from(MOST_TOKENS));
            i32::try_from(count).unwrap_or_default()
        };
        let (input_tokens, output_tokens) =
            (tokens("input_tokens", input.input_tokens), tokens("output_tokens", input.output_tokens));
        let cached_input_tokens = tokens("cached_input_tokens", input.cached_input_tokens.unwrap_or_default());
        if cached_input_tokens > input_tokens {
            problems.add(
                "cached_input_tokens",
                format_args!(
                    "is {cached_input_tokens}, which is more than input_tokens ({input_tokens}), whose part it is"
                ),
            );
        }
        for (field, name) in [("operation", &input.operation), ("tool", &input.tool)] {
            if let Some(name) = name {
                kind(&mut problems, field, name);
            }
        }
        let metadata = input.metadata.unwrap_or_default();
        problems.metadata("metadata", &metadata, LARGEST_METADATA_BYTES);
        fields::idempotency_key(input.idempotency_key.as_deref(), &mut problems);
        let usage = Usage {
            model_name: input.model_name,
            provider: input.provider,
            input_tokens,
            cached_input_tokens,
            output_tokens,
            operation: input.operation,
            tool: input.tool,
            metadata: Value::Object(metadata),
        };
        problems.or(Request { usage, idempotency_key: input.idempotency_key, refusal: None })
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        Map::from_iter([
            ("input_tokens".to_owned(), request.usage.input_tokens.into()),
            ("output_tokens".to_owned(), request.usage.output_tokens.into()),
            ("has_idempotency_key".to_owned(), request.idempotency_key.is_some().into()),
        ])
    }

    async fn prepare(&self, ahead: &Ahead<'_>, request: &mut Request) -> Result<(), Failure> {
        let usage = &request.usage;
        let estimate = Estimate {
            provider: usage.provider.clone(),
            model_name: usage.model_name.clone(),
            input_tokens: i64::from(usage.input_tokens),
            cached_input_tokens: i64::from(usage.cached_input_tokens),
            output_tokens: i64::from(usage.output_tokens),
            idempotency_key: request.idempotency_key.clone(),
        };
        if let Reservation::Refused(refusal) = ahead.reserve(&estimate).await? {
            request.refusal = Some(refusal);
        }
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        let (transaction, caller) = (call.transaction, call.caller);
        let failed = |error: DbError| call.failed(&error);
        let key = request.idempotency_key.as_deref().map(|name| Key { name, fingerprint: fingerprint(&request.usage) });
        let mut known = None;
        if let Some(key) = &key {
            match idempotency::claim::<Priced>(transaction, caller.tenant_id, key).await.map_err(failed)? {
                Claim::New => {}
                Claim::Repeated(priced) => known = Some(priced),
                Claim::Conflict => return Err(fields::key_was_used()),
            }
        }
        let repeated = known.is_some();
        let budget = Budget::read(transaction, caller, call.id);
        let (priced, budget) = match known {
            Some(priced) => (priced, budget.await.map_err(failed)?),
            None => {
                if let Some(refusal) = &request.refusal {
                    let told = format!("{refusal} Nothing was recorded.");
                    return Err(Failure::BudgetExceeded { told, is_held: !refusal.is_exhausted });
                }
                let recorded = costs::record(transaction, caller, call.id, &request.usage).await.map_err(failed)?;
                let Some(priced) = recorded else {
                    let known = costs::known_models(transaction, &request.usage).await.map_err(failed)?.join(", ");
                    return Err(Failure::InvalidInput(Problems::one(
                        "model_name",
                        format_args!(
                            "has no price with this provider; priced under the nearest names are {known}. The operator can add prices \
                             (bailiwick prices set), or let usage without a price be recorded (the setting costs.unknown_models)"
                        ),
                    )));
                };
                let kept = async {
                    match &key {
                        Some(key) => idempotency::answer(transaction, caller.tenant_id, key, &priced).await,
                        None => Ok(()),
                    }
                };
                let ((), budget) = tokio::try_join!(kept, budget).map_err(failed)?;
                (priced, budget)
            }
        };
        let details = Map::from_iter([
            ("cost_usd".to_owned(), usd(priced.total_cost_usd).into()),
            ("budget_status".to_owned(), budget.status().name().into()),
            ("repeated".to_owned(), repeated.into()),
        ]);
        let output = Output {
            id: priced.id,
            input_cost_usd: usd(priced.input_cost_usd),
            output_cost_usd: usd(priced.output_cost_usd),
            total_cost_usd: usd(priced.total_cost_usd),
            priced: priced.is_priced,
            budget_status: budget.status().name().to_owned(),
            repeated,
        };
        Ok(Answer::new(output).telling(details))
    }
}

/// What costs are summed by: each name has sums of its own, so it is one that a person would give.
fn kind(problems: &mut Problems, field: &str, name: &str) {
    problems.text(field, name, LONGEST_KIND);
    if let Some(odd) = name.chars().find(|c| !(c.is_alphanumeric() || " ._-/:".contains(*c) || *c == '\0')) {
        problems.add(
            field,
            format_args!("has the character {odd:?}; allowed are letters, digits, spaces and any of . _ - / :"),
        );
    }
}

fn fingerprint(usage: &Usage) -> Vec<u8> {
    let mut fingerprint = Fingerprint::of("usage");
    fingerprint.feed(usage.provider.as_bytes());
    fingerprint.feed(usage.model_name.as_bytes());
    fingerprint.feed(&usage.input_tokens.to_le_bytes());
    fingerprint.feed(&usage.cached_input_tokens.to_le_bytes());
    fingerprint.feed(&usage.output_tokens.to_le_bytes());
    fingerprint.feed_optional(usage.operation.as_deref().map(str::as_bytes));
    fingerprint.feed_optional(usage.tool.as_deref().map(str::as_bytes));
    fingerprint.feed(usage.metadata.to_string().as_bytes());
    fingerprint.end()
}
