//! Clustered synthetic unit vectors, shaped like real embeddings.

/// How many clusters each tenant prefers.
const FAVOURITES: usize = 8;
/// How many directions the noise of a cluster has, which is its intrinsic dimension.
const DIRECTIONS: usize = 32;
/// How much of the noise (of its squared norm, which is 1) goes in no direction in particular.
const ISOTROPIC: f32 = 0.05;

/// Clusters of unit vectors in a space of many dimensions.
pub struct Space {
    dimensions: usize,
    seed: u64,
    clusters: Vec<Vec<f32>>,
    directions: Vec<Vec<f32>>,
}

impl Space {
    /// A space of `clusters` clusters (at least 2), the last tenth of which no tenant prefers.
    pub fn new(dimensions: usize, clusters: usize, seed: u64) -> Self {
        let clusters = clusters.max(2);
        let mut random = Random::new(&[seed, 0]);
        let centers = (0..clusters).map(|_| random.unit(dimensions)).collect();
        let directions =
            (0..clusters).map(|_| (0..DIRECTIONS).flat_map(|_| random.unit(dimensions)).collect()).collect();
        Self { dimensions, seed, clusters: centers, directions }
    }

    /// The unit vector of a tenant's document: nine in ten lie in the tenant's favourite clusters, the rest anywhere.
    pub fn document(&self, tenant: usize, number: usize) -> Vec<f32> {
        self.member(1, tenant, number)
    }

    /// A query from where the tenant's documents are, which is itself none of them.
    pub fn query_like(&self, tenant: usize, number: usize) -> Vec<f32> {
        self.member(2, tenant, number)
    }

    /// A query from where documents are rare: a cluster no tenant prefers (even) or between two clusters (odd).
    pub fn query_unlike(&self, number: usize) -> Vec<f32> {
        let mut random = Random::new(&[self.seed, 3, number as u64]);
        if number.is_multiple_of(2) {
            let preferred = self.preferred();
            let cluster = preferred + random.below(self.clusters.len() - preferred);
            return self.around(cluster, &mut random);
        }
        let one = random.below(self.clusters.len());
        let other = (one + 1 + random.below(self.clusters.len() - 1)) % self.clusters.len();
        let mut vector = self.around(one, &mut random);
        for (value, more) in vector.iter_mut().zip(self.around(other, &mut random)) {
            *value += more;
        }
        normalize(&mut vector);
        vector
    }

    fn member(&self, kind: u64, tenant: usize, number: usize) -> Vec<f32> {
        let mut random = Random::new(&[self.seed, kind, tenant as u64, number as u64]);
        let cluster = if random.below(10) == 0 {
            random.below(self.clusters.len())
        } else {
            let favourites = self.favourites(tenant);
            favourites[random.below(favourites.len())]
        };
        self.around(cluster, &mut random)
    }

    fn preferred(&self) -> usize {
        self.clusters.len() - (self.clusters.len() / 10).max(1)
    }

    fn favourites(&self, tenant: usize) -> Vec<usize> {
        let mut random = Random::new(&[self.seed, 4, tenant as u64]);
        let preferred = self.preferred();
        let mut favourites = Vec::with_capacity(FAVOURITES);
        while favourites.len() < FAVOURITES.min(preferred) {
            let cluster = random.below(preferred);
            if !favourites.contains(&cluster) {
                favourites.push(cluster);
            }
        }
        favourites
    }

    fn around(&self, cluster: usize, random: &mut Random) -> Vec<f32> {
        let mut vector = self.clusters[cluster].clone();
        let scale = ((1.0 - ISOTROPIC) / DIRECTIONS as f32).sqrt();
        for direction in self.directions[cluster].chunks_exact(self.dimensions.max(1)) {
            let weight = random.normal() * scale;
            for (value, step) in vector.iter_mut().zip(direction) {
                *value += weight * step;
            }
        }
        let scale = (12.0 * ISOTROPIC / self.dimensions.max(1) as f32).sqrt();
        for values in vector.chunks_mut(4) {
            for (value, step) in values.iter_mut().zip(random.uniform4()) {
                *value += step * scale;
            }
        }
        normalize(&mut vector);
        vector
    }
}

fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|value| *value /= norm);
}

/// A splitmix64 generator.
struct Random(u64);

impl Random {
    fn new(seeds: &[u64]) -> Self {
        seeds.iter().fold(Self(0), |mut random, seed| Self(random.next() ^ seed.wrapping_mul(0xd6e8_feb8_6659_fd93)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Four numbers from -1/2 to 1/2, of variance 1/12.
    fn uniform4(&mut self) -> [f32; 4] {
        let bits = self.next();
        [0, 16, 32, 48].map(|shift| ((bits >> shift) as u16 as f32 + 0.5) / 65536.0 - 0.5)
    }

    /// About a standard normal number: a sum of four uniform ones.
    fn normal(&mut self) -> f32 {
        self.uniform4().iter().sum::<f32>() * 3f32.sqrt()
    }

    fn unit(&mut self, dimensions: usize) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..dimensions).map(|_| self.normal()).collect();
        normalize(&mut vector);
        vector
    }
}
