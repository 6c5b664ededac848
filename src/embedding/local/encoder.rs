use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::bert::Bert;
use super::folder::{Folder, FolderError, Pooling};
use crate::documents::Tokens;
use crate::embedding::Embedded;

/// Texts that are computed together, at most. More gain nothing on a CPU.
const TOGETHER: usize = 8;
/// Bytes that are looked at together when tokens are counted: of each token much more is kept than its place.
const COUNTED_BYTES: usize = 1 << 16;
/// Added to the score of a place where no token stands.
const NOWHERE: f32 = -1e9;

/// A model in memory: text in, unit vectors out.
pub(super) struct Encoder {
    tokenizer: Tokenizer,
    /// The same without a bound of length.
    counter: Tokenizer,
    bert: Bert,
    pooling: Pooling,
    pad_id: u32,
}

impl Encoder {
    /// Reads a folder's tokenizer and weights.
    pub fn load(folder: &Folder) -> Result<Self, FolderError> {
        let broken = |file: &str, problem: &dyn ToString| folder.broken(file, problem);
        let mut tokenizer =
            Tokenizer::from_file(folder.path("tokenizer.json")).map_err(|error| broken("tokenizer.json", &error))?;
        // What the file says of length is its author's last use of it.
        let pad_id = tokenizer.get_padding().map_or(0, |padding| padding.pad_id);
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| broken("tokenizer.json", &error))?;
        let counter = tokenizer.clone();
        let truncation = TruncationParams { max_length: folder.longest_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| broken("tokenizer.json", &error))?;
        let weights = folder.read("model.safetensors")?;
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)
            .map_err(|error| broken("model.safetensors", &error))?;
        let bert = Bert::load(weights, &folder.config).map_err(|error| broken("model.safetensors", &error))?;
        Ok(Self { tokenizer, counter, bert, pooling: folder.pooling, pad_id })
    }

    /// Embeds texts, those of like length together. `is_wanted` is asked in between.
    pub fn embed(&self, texts: Vec<String>, is_wanted: impl Fn() -> bool) -> Result<Option<Embedded>, String> {
        let encodings = self.tokenizer.encode_batch_fast(texts, true).map_err(|error| error.to_string())?;
        let mut order: Vec<usize> = (0..encodings.len()).collect();
        order.sort_by_key(|index| encodings[*index].len());
        let mut vectors = vec![Vec::new(); encodings.len()];
        let mut tokens = 0;
        for together in order.chunks(TOGETHER) {
            if !is_wanted() {
                return Ok(None);
            }
            let batch: Vec<&Encoding> = together.iter().map(|index| &encodings[*index]).collect();
            tokens += batch.iter().map(|encoding| encoding.len()).sum::<usize>();
            let computed = self.compute(&batch).map_err(|error| error.to_string())?;
            for (index, vector) in together.iter().zip(computed) {
                if vector.iter().any(|component| !component.is_finite()) {
                    return Err("a vector with a component that is no number".to_owned());
                }
                vectors[*index] = vector;
            }
        }
        Ok(Some(Embedded { vectors, tokens: i32::try_from(tokens).unwrap_or(i32::MAX) }))
    }

    fn compute(&self, batch: &[&Encoding]) -> candle_core::Result<Vec<Vec<f32>>> {
        let longest = batch.iter().map(|encoding| encoding.len()).max().unwrap_or_default();
        let mut ids = Vec::with_capacity(batch.len() * longest);
        let mut weights = Vec::with_capacity(batch.len() * longest);
        for encoding in batch {
            let padding = longest - encoding.len();
            ids.extend_from_slice(encoding.get_ids());
            ids.extend(std::iter::repeat_n(self.pad_id, padding));
            weights.extend(std::iter::repeat_n(1.0_f32, encoding.len()));
            weights.extend(std::iter::repeat_n(0.0_f32, padding));
        }
        let is_padded = batch.iter().any(|encoding| encoding.len() < longest);
        let ids = Tensor::from_vec(ids, (batch.len(), longest), &Device::Cpu)?;
        let weights = Tensor::from_vec(weights, (batch.len(), longest), &Device::Cpu)?;
        let mask = match is_padded {
            true => Some((((1.0 - &weights)? * f64::from(NOWHERE))?).unsqueeze(1)?.unsqueeze(1)?),
            false => None,
        };
        let states = self.bert.forward(&ids, mask.as_ref())?;
        let pooled = match self.pooling {
            Pooling::Cls => states.narrow(1, 0, 1)?.squeeze(1)?,
            Pooling::Mean => {
                let weights = weights.unsqueeze(2)?;
                states.broadcast_mul(&weights)?.sum(1)?.broadcast_div(&weights.sum(1)?)?
            }
        };
        // To length one, whether the model's own modules do so or not: vectors are compared by their direction.
        let norms = pooled.sqr()?.sum_keepdim(1)?.sqrt()?.clamp(1e-12, f64::INFINITY)?;
        pooled.broadcast_div(&norms)?.to_vec2()
    }
}

impl Tokens for Encoder {
    /// Word pieces, without the marks at a text's ends and however long it is.
    fn starts(&self, text: &str) -> Option<Vec<usize>> {
        let mut starts = Vec::with_capacity(text.len() / 4);
        let mut from = 0;
        while from < text.len() {
            let block = block(&text[from..]);
            let encoding = self.counter.encode(block, false).ok()?;
            starts.extend(encoding.get_offsets().iter().map(|(start, _)| from + start));
            from += block.len();
        }
        Some(starts).filter(|starts| starts.is_sorted())
    }
}

/// The beginning of a text up to a space, where there is one.
fn block(text: &str) -> &str {
    if text.len() <= COUNTED_BYTES {
        return text;
    }
    let end = (0..=COUNTED_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let cut = text[..end].rfind(char::is_whitespace).filter(|cut| *cut > 0).unwrap_or(end);
    &text[..cut]
}
