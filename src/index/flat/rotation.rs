//! The axes that vectors are coded along: the principal axes of a sample, strong ones paired with weak ones, so that
//! every table of a pair has about as much to tell (the parametric case of optimised product quantisation: Ge, He, Ke
//! and Sun 2013, section 3.2). A turn keeps dot products; where vectors fill a part of the space only, it leaves the
//! rest empty.

/// Turns of the whole matrix after which the axes are taken as they are; eight or so suffice.
const SWEEPS: usize = 30;

/// The axes of a sample `[rows, dim]`, row-major `[width, dim]`; rows from `dim` on are zero. `O(rows dim^2 + dim^3)`.
pub(super) fn axes(sample: &[f32], dim: usize, width: usize) -> Vec<f32> {
    let mut spread = covariance(sample, dim);
    let mut turned = identity(dim);
    diagonalise(&mut spread, &mut turned, dim);
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|a, b| spread[b * dim + b].total_cmp(&spread[a * dim + a]).then(a.cmp(b)));
    let mut axes = vec![0.0; width * dim];
    for (place, column) in order.into_iter().enumerate() {
        // Strongest with weakest: places 0, 2, 4 .. upwards, then .. 5, 3, 1 back down.
        let row = if place < width / 2 { 2 * place } else { 2 * (width - 1 - place) + 1 };
        for at in 0..dim {
            axes[row * dim + at] = turned[at * dim + column] as f32;
        }
    }
    axes
}

fn identity(dim: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; dim * dim];
    (0..dim).for_each(|at| matrix[at * dim + at] = 1.0);
    matrix
}

fn covariance(sample: &[f32], dim: usize) -> Vec<f64> {
    let rows = (sample.len() / dim).max(1) as f64;
    let mut mean = vec![0.0f64; dim];
    for row in sample.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / rows);
    }
    let mut matrix = vec![0.0f64; dim * dim];
    let mut centred = vec![0.0f64; dim];
    for row in sample.chunks_exact(dim) {
        centred.iter_mut().zip(row).zip(&mean).for_each(|((c, v), m)| *c = f64::from(*v) - m);
        for (at, a) in centred.iter().enumerate() {
            matrix[at * dim..(at + 1) * dim].iter_mut().zip(&centred).for_each(|(sum, b)| *sum += a * b);
        }
    }
    matrix.iter_mut().for_each(|v| *v /= rows);
    matrix
}

/// Jacobi's method: turns pairs of axes until `matrix` is diagonal; `turned` collects the turns, one axis a column.
fn diagonalise(matrix: &mut [f64], turned: &mut [f64], dim: usize) {
    let size: f64 = matrix.iter().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..dim).flat_map(|p| (0..p).map(move |q| (p, q))).map(|(p, q)| matrix[p * dim + q].powi(2)).sum();
        if off <= size * 1e-18 {
            return;
        }
        for p in 0..dim {
            for q in p + 1..dim {
                turn(matrix, turned, dim, (p, q));
            }
        }
    }
}

/// The turn of axes p and q that makes their entry zero.
fn turn(matrix: &mut [f64], turned: &mut [f64], dim: usize, (p, q): (usize, usize)) {
    let entry = matrix[p * dim + q];
    if entry == 0.0 {
        return;
    }
    let theta = (matrix[q * dim + q] - matrix[p * dim + p]) / (2.0 * entry);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for at in 0..dim {
        let (a, b) = (matrix[at * dim + p], matrix[at * dim + q]);
        (matrix[at * dim + p], matrix[at * dim + q]) = (c * a - s * b, s * a + c * b);
        let (a, b) = (turned[at * dim + p], turned[at * dim + q]);
        (turned[at * dim + p], turned[at * dim + q]) = (c * a - s * b, s * a + c * b);
    }
    for at in 0..dim {
        let (a, b) = (matrix[p * dim + at], matrix[q * dim + at]);
        (matrix[p * dim + at], matrix[q * dim + at]) = (c * a - s * b, s * a + c * b);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::dot;
    use super::super::super::testing::random;
    use super::*;

    #[test]
    fn axes_are_perpendicular_and_keep_dot_products() {
        for dim in [1, 2, 7, 32] {
            let vectors = random(200, dim, 5, 0.6, 3);
            let width = dim.next_multiple_of(4);
            let axes = axes(vectors.as_slice(), dim, width);
            let turn =
                |row: usize| -> Vec<f32> { axes.chunks_exact(dim).map(|axis| dot(axis, vectors.row(row))).collect() };
            for row in 0..20 {
                let (plain, turned) = (dot(vectors.row(row), vectors.row(row + 1)), dot(&turn(row), &turn(row + 1)));
                assert!((plain - turned).abs() < 1e-5, "{dim}: {plain} {turned}");
            }
        }
    }

    #[test]
    fn the_strongest_axis_stands_with_the_weakest() {
        // Spread 3 along (1, 1), 1 along (1, -1), none along the others.
        let sample = [[3.0f32, 3.0, 0.0, 0.0], [-3.0, -3.0, 0.0, 0.0], [1.0, -1.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0]];
        let axes = axes(sample.as_flattened(), 4, 4);
        let half = std::f32::consts::FRAC_1_SQRT_2;
        assert!((axes[0].abs() - half).abs() < 1e-6 && (axes[0] - axes[1]).abs() < 1e-6, "{axes:?}");
        assert!((axes[8].abs() - half).abs() < 1e-6 && (axes[8] + axes[9]).abs() < 1e-6, "{axes:?}");
    }

    #[test]
    fn no_spread_at_all_is_no_fault() {
        assert!(axes(&[0.6, 0.8, 0.6, 0.8], 2, 4).iter().all(|v| v.is_finite()));
        assert!(axes(&[], 3, 4).iter().all(|v| v.is_finite()));
    }
}
