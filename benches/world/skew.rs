//! How unevenly tenants share a collection.

/// Sizes of 50 tenants that sum to `total`: 50 %, 20 %, five of 3 %, and 43 that share the rest about equally.
pub fn tenants(total: usize) -> Vec<usize> {
    let percent = |share: usize| total / 100 * share + total % 100 * share / 100;
    let mut sizes = vec![percent(50), percent(20)];
    sizes.extend([percent(3); 5]);
    let rest = total - sizes.iter().sum::<usize>();
    sizes.extend((0..43).map(|tenant| rest / 43 + usize::from(tenant < rest % 43)));
    sizes
}
