use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::costs::{self, Budget, Usage, usd};
use crate::identity::Scope;

/// Most tokens of one call, so that a slip of the keyboard cannot fill the ledger.
const MOST_TOKENS: i32 = 1_000_000_000;
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
    /// Tokens sent to the model.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    input_tokens: i64,
    /// Tokens the model wrote.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    output_tokens: i64,
    /// What the tokens were spent for, for example chat, generate or search.
    operation: Option<String>,
    /// A JSON object to keep with the row.
    metadata: Option<Map<String, Value>>,
}

/// The priced row.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Number of the ledger's row.
    id: i64,
    /// USD for input, as a decimal number in text.
    input_cost_usd: String,
    /// USD for output.
    output_cost_usd: String,
    /// USD for both.
    total_cost_usd: String,
    /// Where the month's budget stands now: OK, WARNING or EXCEEDED.
    budget_status: String,
}

impl Tool for RecordUsage {
    type Input = Input;
    type Request = Usage;
    type Output = Output;

    const NAME: &'static str = "record_usage";
    const TITLE: &'static str = "Record model usage";
    const DESCRIPTION: &'static str = "Report tokens that you spent on a model, so that they are priced and counted against your organisation's budget. \
Call it once for each model call: calling it again records the usage again. A model without a list price is refused.";
    const SCOPE: Scope = Scope::CostsWrite;
    const ACTION: Action = Action::Record;
    const HINTS: Hints = Hints { read_only: false, idempotent: false, destructive: false };

    fn check(&self, input: Input) -> Result<Usage, Problems> {
        let mut problems = Problems::default();
        problems.text("model_name", &input.model_name, 200);
        problems.text("provider", &input.provider, 100);
        let mut tokens = |field: &str, count: i64| {
            problems.range(field, count, 0, i64::from(MOST_TOKENS));
            i32::try_from(count).unwrap_or_default()
        };
        let (input_tokens, output_tokens) =
            (tokens("input_tokens", input.input_tokens), tokens("output_tokens", input.output_tokens));
        if let Some(operation) = &input.operation {
            problems.text("operation", operation, 100);
        }
        let metadata = input.metadata.unwrap_or_default();
        problems.metadata("metadata", &metadata, LARGEST_METADATA_BYTES);
        problems.or(Usage {
            model_name: input.model_name,
            provider: input.provider,
            input_tokens,
            output_tokens,
            operation: input.operation,
            metadata: Value::Object(metadata),
        })
    }

    fn describe(&self, usage: &Usage) -> Map<String, Value> {
        Map::from_iter([
            ("input_tokens".to_owned(), usage.input_tokens.into()),
            ("output_tokens".to_owned(), usage.output_tokens.into()),
        ])
    }

    async fn run(&self, call: &Call<'_>, usage: &Usage) -> Result<Answer<Output>, Failure> {
        let (transaction, caller) = (call.transaction, call.caller);
        let failed = |error| call.failed(&error);
        let Some(priced) = costs::record(transaction, caller, call.id, usage).await.map_err(failed)? else {
            let known = costs::known_models(transaction).await.map_err(failed)?.join(", ");
            return Err(Failure::InvalidInput(Problems::one(
                "model_name",
                format_args!("has no price with this provider; priced are {known}. The operator can add prices"),
            )));
        };
        let budget = Budget::read(transaction, caller.tenant_id).await.map_err(failed)?;
        let details = Map::from_iter([
            ("cost_usd".to_owned(), usd(priced.total_cost_usd).into()),
            ("budget_status".to_owned(), budget.status.name().into()),
        ]);
        let output = Output {
            id: priced.id,
            input_cost_usd: usd(priced.input_cost_usd),
            output_cost_usd: usd(priced.output_cost_usd),
            total_cost_usd: usd(priced.total_cost_usd),
            budget_status: budget.status.name().to_owned(),
        };
        Ok(Answer { output, resource_id: None, details })
    }
}
