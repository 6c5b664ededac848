//! A BERT encoder (Devlin et al. 2019) over candle's blocks.
//!
//! The computation is that of `candle_transformers::models::bert`, whose crate takes minutes to build for its hundred other
//! models. Here queries, keys and values are one multiplication, and softmax and GELU one pass each, which takes three quarters of
//! the time.

use candle_core::{D, Result, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module, VarBuilder};
use serde::Deserialize;

use super::activation::Gelu;

/// The part of `config.json` that the computation depends on.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    pub model_type: String,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub hidden_act: String,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub layer_norm_eps: f64,
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
}

fn absolute() -> String {
    "absolute".to_owned()
}

impl Config {
    /// What of it is not computed here.
    pub fn unsupported(&self) -> Option<String> {
        if self.model_type != "bert" {
            return Some(format!("its model_type is {:?}, and only \"bert\" is supported", self.model_type));
        }
        if self.hidden_act != "gelu" {
            return Some(format!("its hidden_act is {:?}, and only \"gelu\" is supported", self.hidden_act));
        }
        if self.position_embedding_type != "absolute" {
            return Some("its positions are not absolute".to_owned());
        }
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Some("its hidden_size is no multiple of num_attention_heads".to_owned());
        }
        None
    }
}

/// The encoder with its weights.
pub(super) struct Bert {
    words: Embedding,
    positions: Tensor,
    /// Every token is of the first segment.
    segment: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl Bert {
    /// Takes the weights, whether their names begin with `bert.` or not.
    pub fn load(weights: VarBuilder<'_>, config: &Config) -> Result<Self> {
        let weights = if weights.contains_tensor("bert.embeddings.word_embeddings.weight") {
            weights.pp("bert")
        } else {
            weights
        };
        let embeddings = weights.pp("embeddings");
        let hidden = config.hidden_size;
        let positions = embeddings.get((config.max_position_embeddings, hidden), "position_embeddings.weight")?;
        let segments = embeddings.get((config.type_vocab_size, hidden), "token_type_embeddings.weight")?;
        let layers = weights.pp("encoder.layer");
        Ok(Self {
            words: candle_nn::embedding(config.vocab_size, hidden, embeddings.pp("word_embeddings"))?,
            positions,
            segment: segments.get(0)?,
            norm: candle_nn::layer_norm(hidden, config.layer_norm_eps, embeddings.pp("LayerNorm"))?,
            layers: (0..config.num_hidden_layers)
                .map(|number| Layer::load(&layers.pp(number), config))
                .collect::<Result<_>>()?,
        })
    }

    /// The last layer's states (batch, length, hidden). `mask` is 0 where a token stands and very negative where there is
    /// padding, (batch, 1, 1, length); `None` if there is none.
    pub fn forward(&self, ids: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let length = ids.dim(1)?;
        let places = self.positions.narrow(0, 0, length)?.broadcast_add(&self.segment)?;
        let mut states = self.norm.forward(&self.words.forward(ids)?.broadcast_add(&places)?)?;
        for layer in &self.layers {
            states = layer.forward(&states, mask)?;
        }
        Ok(states)
    }
}

struct Layer {
    /// Queries, keys and values beside each other.
    projections: Linear,
    mixed: Linear,
    mixed_norm: LayerNorm,
    wide: Tensor,
    gelu: Gelu,
    narrow: Linear,
    norm: LayerNorm,
    heads: usize,
}

impl Layer {
    fn load(weights: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let attention = weights.pp("attention");
        let own = attention.pp("self");
        let head_size = hidden / config.num_attention_heads;
        #[expect(clippy::cast_precision_loss, reason = "a head has some dozens of components")]
        let scale = 1.0 / (head_size as f64).sqrt();
        let part = |name: &str| -> Result<(Tensor, Tensor)> {
            Ok((own.get((hidden, hidden), &format!("{name}.weight"))?, own.get(hidden, &format!("{name}.bias"))?))
        };
        let ((q, q_bias), (k, k_bias), (v, v_bias)) = (part("query")?, part("key")?, part("value")?);
        // Scaled here once and not at each text.
        let (q, q_bias) = ((q * scale)?, (q_bias * scale)?);
        let up = weights.pp("intermediate.dense");
        Ok(Self {
            projections: Linear::new(Tensor::cat(&[q, k, v], 0)?, Some(Tensor::cat(&[q_bias, k_bias, v_bias], 0)?)),
            mixed: candle_nn::linear(hidden, hidden, attention.pp("output.dense"))?,
            mixed_norm: candle_nn::layer_norm(hidden, config.layer_norm_eps, attention.pp("output.LayerNorm"))?,
            wide: up.get((wide, hidden), "weight")?.t()?,
            gelu: Gelu::new(&up.get(wide, "bias")?)?,
            narrow: candle_nn::linear(wide, hidden, weights.pp("output.dense"))?,
            norm: candle_nn::layer_norm(hidden, config.layer_norm_eps, weights.pp("output.LayerNorm"))?,
            heads: config.num_attention_heads,
        })
    }

    fn forward(&self, states: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (batch, length, hidden) = states.dims3()?;
        // One large multiplication for the whole batch.
        let flat = states.reshape((batch * length, hidden))?;
        let projected = self.projections.forward(&flat)?;
        let projected = projected.reshape((batch, length, 3, self.heads, hidden / self.heads))?;
        let part = |number: usize| projected.narrow(2, number, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = q.matmul(&k.transpose(D::Minus1, D::Minus2)?)?;
        let scores = match mask {
            Some(mask) => scores.broadcast_add(mask)?,
            None => scores,
        };
        let context = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&v)?;
        let context = context.transpose(1, 2)?.contiguous()?.reshape((batch * length, hidden))?;
        let mixed = self.mixed_norm.forward(&(self.mixed.forward(&context)? + &flat)?)?;
        let wide = self.gelu.forward(&mixed.matmul(&self.wide)?)?;
        let out = self.norm.forward(&(self.narrow.forward(&wide)? + &mixed)?)?;
        out.reshape((batch, length, hidden))
    }
}
