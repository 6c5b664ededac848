use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

/// Adds a bias to each row and applies GELU, x/2 · (1 + erf(x/√2)), in one pass.
pub(super) struct Gelu {
    bias: Vec<f32>,
    tensor: Tensor,
}

impl Gelu {
    pub fn new(bias: &Tensor) -> Result<Self> {
        Ok(Self { bias: bias.to_vec1()?, tensor: bias.clone() })
    }

    /// Rows of numbers, activated. A loop of this crate is slow in a build without optimisation, where candle's is not.
    pub fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        if cfg!(debug_assertions) { self.by_candle(rows) } else { rows.apply_op1_no_bwd(self) }
    }

    fn by_candle(&self, rows: &Tensor) -> Result<Tensor> {
        rows.broadcast_add(&self.tensor)?.gelu_erf()
    }
}

/// Rows that one thread takes at a time.
const ROWS: usize = 16;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "bias-gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("the input is not contiguous") };
        let values = &storage.as_slice::<f32>()?[start..end];
        let width = self.bias.len();
        let mut activated = vec![0.0_f32; values.len()];
        values.par_chunks(ROWS * width).zip(activated.par_chunks_mut(ROWS * width)).for_each(|(from, to)| {
            for (from, to) in from.chunks(width).zip(to.chunks_mut(width)) {
                for ((to, from), bias) in to.iter_mut().zip(from).zip(&self.bias) {
                    *to = gelu(from + bias);
                }
            }
        });
        Ok((CpuStorage::F32(activated), layout.shape().clone()))
    }
}

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The error function to within 5e-7, as the quotient of two polynomials on [-4, 4] (the minimax approximation of Eigen's
/// `erf_float`): without a branch, so that it is computed several at a time.
#[expect(clippy::excessive_precision, reason = "the coefficients as they were published")]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let mut p = -2.726_142_258_013_06e-10;
    for coefficient in [
        2.770_681_424_959_02e-8,
        -2.101_024_020_825_08e-6,
        -5.692_506_394_623_46e-5,
        -7.349_906_303_268_55e-4,
        -2.954_599_808_540_25e-3,
        -1.609_603_333_262_415e-2,
    ] {
        p = p * x2 + coefficient;
    }
    let mut q = -1.456_607_184_649_96e-5;
    for coefficient in
        [-2.133_740_552_789_05e-4, -1.682_827_067_384_03e-3, -7.373_329_167_204_68e-3, -1.426_473_905_141_89e-2]
    {
        q = q * x2 + coefficient;
    }
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Maclaurin series in f64 (Abramowitz and Stegun 7.1.5).
    fn erf_by_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn erf_is_close_to_its_series() {
        let mut worst = 0.0_f64;
        for step in -3_500..=3_500_i16 {
            let x = f64::from(step) / 1e3;
            #[expect(clippy::cast_possible_truncation, reason = "a test value")]
            let found = f64::from(erf(x as f32));
            worst = worst.max((found - erf_by_series(x)).abs());
        }
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn one_pass_gives_what_candle_gives_in_several() {
        let rows: Vec<f32> = (0..16_i16 * 40).map(|n| f32::from(n % 101 - 50) / 9.0).collect();
        let rows = Tensor::from_vec(rows, (40, 16), &candle_core::Device::Cpu).unwrap();
        let bias = Tensor::arange(0.0_f32, 16.0, &candle_core::Device::Cpu).unwrap().affine(0.1, -0.7).unwrap();
        let gelu = Gelu::new(&bias).unwrap();
        let own = rows.apply_op1_no_bwd(&gelu).unwrap().to_vec2::<f32>().unwrap();
        let theirs = gelu.by_candle(&rows).unwrap().to_vec2::<f32>().unwrap();
        let worst = own.iter().flatten().zip(theirs.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 3e-6, "{worst}");
    }

    #[test]
    fn gelu_is_right_at_its_ends_and_at_known_points() {
        assert!((gelu(0.0)).abs() < 1e-9);
        assert!((gelu(10.0) - 10.0).abs() < 1e-5);
        assert!(gelu(-10.0).abs() < 1e-5);
        // 1 · Φ(1).
        assert!((gelu(1.0) - 0.841_344_7).abs() < 1e-6);
    }
}
