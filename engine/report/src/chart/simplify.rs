//! Curves with the points that make a difference on a drawing.

/// A curve without points that are nearer than `tolerance` to the line between those that
/// stay (Ramer, 1972; Douglas and Peucker, 1973). Both ends stay.
pub(crate) fn simplified(points: &[(f64, f64)], tolerance: f64) -> Vec<(f64, f64)> {
    let Some(last) = points.len().checked_sub(1) else {
        return Vec::new();
    };
    let mut kept = vec![false; points.len()];
    (kept[0], kept[last]) = (true, true);
    let mut open = vec![(0, last)];
    while let Some((from, to)) = open.pop() {
        let farthest = (from + 1..to)
            .map(|at| (at, distance(points[at], points[from], points[to])))
            .fold(None, |best: Option<(usize, f64)>, (at, far)| match best {
                Some((_, best_far)) if best_far >= far => best,
                _ => Some((at, far)),
            });
        if let Some((at, far)) = farthest
            && far > tolerance
        {
            kept[at] = true;
            open.extend([(from, at), (at, to)]);
        }
    }
    let stays = points.iter().zip(kept);
    stays.filter(|(_, kept)| *kept).map(|(p, _)| *p).collect()
}

/// Of a point from the part of a line between two others.
fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx * dx + dy * dy;
    let along = if length == 0.0 {
        0.0
    } else {
        (((point.0 - from.0) * dx + (point.1 - from.1) * dy) / length).clamp(0.0, 1.0)
    };
    let (x, y) = (from.0 + along * dx, from.1 + along * dy);
    (point.0 - x).hypot(point.1 - y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_parts_lose_their_points_and_corners_stay() {
        let straight: Vec<(f64, f64)> = (0..100).map(|x| (f64::from(x), 5.0)).collect();
        assert_eq!(simplified(&straight, 0.2), [(0.0, 5.0), (99.0, 5.0)]);
        let corner: Vec<(f64, f64)> = (0..100)
            .map(|x| (f64::from(x), f64::from((x - 50).max(0))))
            .collect();
        assert_eq!(
            simplified(&corner, 0.2),
            [(0.0, 0.0), (50.0, 0.0), (99.0, 49.0)]
        );
        assert_eq!(simplified(&[], 0.2), []);
        assert_eq!(simplified(&[(1.0, 1.0)], 0.2), [(1.0, 1.0)]);
        let there_and_back = [(0.0, 0.0), (9.0, 0.0), (0.0, 0.0)];
        assert_eq!(simplified(&there_and_back, 0.2), there_and_back);
    }
}
