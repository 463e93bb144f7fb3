//! Places for the boxes of a drawing, in layers from top to bottom.
//!
//! In: boxes, and edges that all lead from an earlier layer to a later one. Out: a place for each box, and for each edge the
//! points that it passes on its way through the layers between.
//!
//! The method is that of Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures"
//! (IEEE Trans. SMC 11, 1981): a layer is the length of the longest path to it; an edge over several layers takes a place in
//! each, which edges of the same origin share; the places of a layer are ordered by the mean of their neighbours, sweep by sweep. Then each layer in turn is put as
//! near below its neighbours as its order and gaps allow, which is a least-squares problem with a chain of inequalities,
//! solved exactly by pooling adjacent violators.
//!
//! Invariant: the same boxes and edges give the same places on every machine: no hashing, no chance.

use std::collections::BTreeMap;

/// Between two boxes side by side.
const GAP: f64 = 22.0;
/// Between two layers.
const RISE: f64 = 38.0;
/// Room for an edge that passes a layer.
const LANE: f64 = 12.0;
/// Passes up and down the layers, for the order and for the places.
const SWEEPS: usize = 12;

/// A box to place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) pin: Pin,
}

/// Where a box must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    /// In any layer: the lowest one where it has nothing above it, else the highest.
    Free,
    First,
    Last,
}

/// An edge between two boxes, each end at a distance from the left of its box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) from: (usize, f64),
    pub(super) to: (usize, f64),
    /// Edges of one strand that leave a box at one place share their way as far as they can.
    pub(super) strand: bool,
}

/// What lies between the ends of an edge.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// The top and the bottom of each layer that it passes alone.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether the first of them is on the way of an earlier edge, which is where this one begins.
    pub(super) branches: bool,
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Places {
    /// The top left corner of each box.
    pub(super) at: Vec<(f64, f64)>,
    /// The top and the bottom of each box's layer.
    pub(super) layers: Vec<(f64, f64)>,
    /// Per edge.
    pub(super) ways: Vec<Way>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Places the boxes. Edges lead from boxes to later ones of the list.
pub(super) fn place(items: &[Item], lines: &[Line]) -> Places {
    let mut layers = Layers::new(items, lines);
    layers.order();
    layers.spread();
    layers.finish(items)
}

/// A box, or the room for an edge, in its layer.
struct Cell {
    width: f64,
    x: f64,
}

/// A piece of an edge between neighbouring layers.
struct Piece {
    above: (usize, f64),
    below: (usize, f64),
}

struct Layers {
    /// The boxes first, then the room for edges.
    cells: Vec<Cell>,
    /// The cells of each layer, from left to right.
    rows: Vec<Vec<usize>>,
    pieces: Vec<Piece>,
    /// Per cell, the pieces that lead up from it and down from it.
    up: Vec<Vec<usize>>,
    down: Vec<Vec<usize>>,
    /// Per edge, the cells between its ends that no earlier one passes, and the cell of an earlier one that it leaves from.
    passes: Vec<(Option<usize>, Vec<usize>)>,
}

impl Layers {
    fn new(items: &[Item], lines: &[Line]) -> Layers {
        let depth = depths(items, lines);
        let mut layers = Layers {
            cells: Vec::new(),
            rows: vec![Vec::new(); depth.iter().max().map_or(0, |deepest| deepest + 1)],
            pieces: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            passes: Vec::with_capacity(lines.len()),
        };
        for (item, &depth) in items.iter().zip(&depth) {
            layers.cell(item.width, depth);
        }
        // Per place that edges leave from: the cells of the longest of them.
        let mut trunks: BTreeMap<(usize, u64, bool), Vec<usize>> = BTreeMap::new();
        for line in lines {
            let (from, x) = line.from;
            let trunk = trunks.entry((from, x.to_bits(), line.strand)).or_default();
            let between = depth[line.to.0].saturating_sub(depth[from] + 1);
            let shared = trunk.len().min(between);
            let branch = shared.checked_sub(1).map(|last| trunk[last]);
            let mut above = branch.map_or(line.from, |cell| (cell, LANE / 2.0));
            let mut passes = Vec::new();
            for layer in depth[from] + 1 + shared..depth[from] + 1 + between {
                let cell = layers.cell(LANE, layer);
                layers.piece(above, (cell, LANE / 2.0));
                above = (cell, LANE / 2.0);
                passes.push(cell);
                trunk.push(cell);
            }
            layers.piece(above, line.to);
            layers.passes.push((branch, passes));
        }
        layers
    }

    fn cell(&mut self, width: f64, depth: usize) -> usize {
        let id = self.cells.len();
        self.cells.push(Cell { width, x: 0.0 });
        self.rows[depth].push(id);
        self.up.push(Vec::new());
        self.down.push(Vec::new());
        id
    }

    fn piece(&mut self, above: (usize, f64), below: (usize, f64)) {
        self.down[above.0].push(self.pieces.len());
        self.up[below.0].push(self.pieces.len());
        self.pieces.push(Piece { above, below });
    }

    /// Orders each layer by its neighbours above, then below, and so on.
    fn order(&mut self) {
        for sweep in 0..SWEEPS {
            self.pack();
            for row in self.sweep(sweep) {
                let mut cells = std::mem::take(&mut self.rows[row]);
                let wish = |&cell: &usize| self.wish(cell, sweep.is_multiple_of(2)).unwrap_or(self.cells[cell].x);
                let mut keyed: Vec<(f64, usize)> = cells.iter().map(|cell| (wish(cell), *cell)).collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                cells.clear();
                cells.extend(keyed.into_iter().map(|(_, cell)| cell));
                self.rows[row] = cells;
                self.pack_row(row);
            }
        }
    }

    /// Moves the cells of each layer, in their order, to where their edges are straightest.
    fn spread(&mut self) {
        self.pack();
        for sweep in 0..SWEEPS {
            for row in self.sweep(sweep) {
                let cells = &self.rows[row];
                let wishes: Vec<f64> = cells
                    .iter()
                    .map(|&cell| self.wish(cell, sweep.is_multiple_of(2)).unwrap_or(self.cells[cell].x))
                    .collect();
                let widths: Vec<f64> = cells.iter().map(|&cell| self.cells[cell].width).collect();
                let places = nearest(&wishes, &widths);
                for (&cell, x) in self.rows[row].iter().zip(places) {
                    self.cells[cell].x = x;
                }
            }
        }
    }

    /// The layers of a sweep: down in the even ones, up in the others.
    fn sweep(&self, sweep: usize) -> Vec<usize> {
        let rows = 0..self.rows.len();
        if sweep.is_multiple_of(2) {
            rows.collect()
        } else {
            rows.rev().collect()
        }
    }

    /// Where the left of a cell would have to be for its edges to be straight, on average.
    fn wish(&self, cell: usize, from_above: bool) -> Option<f64> {
        let pieces = if from_above { &self.up[cell] } else { &self.down[cell] };
        let left = |&piece: &usize| {
            let Piece { above, below } = &self.pieces[piece];
            let (own, other) = if from_above { (below, above) } else { (above, below) };
            self.cells[other.0].x + other.1 - own.1
        };
        (!pieces.is_empty()).then(|| pieces.iter().map(left).sum::<f64>() / pieces.len() as f64)
    }

    fn pack(&mut self) {
        (0..self.rows.len()).for_each(|row| self.pack_row(row));
    }

    /// Puts the cells of a layer side by side around the middle.
    fn pack_row(&mut self, row: usize) {
        let widths = self.rows[row].iter().map(|&cell| self.cells[cell].width + GAP);
        let mut x = -widths.sum::<f64>() / 2.0;
        for &cell in &self.rows[row] {
            self.cells[cell].x = x;
            x += self.cells[cell].width + GAP;
        }
    }

    fn finish(self, items: &[Item]) -> Places {
        let left = self.cells.iter().map(|c| c.x).fold(f64::INFINITY, f64::min);
        let right = self
            .cells
            .iter()
            .map(|c| c.x + c.width)
            .fold(f64::NEG_INFINITY, f64::max);
        let mut at = vec![(0.0, 0.0); items.len()];
        let mut spans = vec![(0.0, 0.0); self.cells.len()];
        let mut top = 0.0;
        for row in &self.rows {
            let heights = row.iter().filter_map(|&cell| items.get(cell)).map(|item| item.height);
            let height = heights.fold(0.0, f64::max);
            for &cell in row {
                spans[cell] = (top, top + height);
                if let Some(item) = items.get(cell) {
                    // The boxes of a layer share its middle, but for those at the edge of the drawing.
                    let y = match item.pin {
                        Pin::First => top,
                        Pin::Last => top + height - item.height,
                        Pin::Free => top + (height - item.height) / 2.0,
                    };
                    at[cell] = (self.cells[cell].x - left, y);
                }
            }
            top += height + RISE;
        }
        let way = |(branch, cells): &(Option<usize>, Vec<usize>)| {
            let ends = |&cell: &usize| {
                let (x, (top, bottom)) = (self.cells[cell].x + LANE / 2.0 - left, spans[cell]);
                [(x, top), (x, bottom)]
            };
            let start = branch.iter().map(|cell| ends(cell)[1]);
            Way {
                points: start.chain(cells.iter().flat_map(ends)).collect(),
                branches: branch.is_some(),
            }
        };
        Places {
            at,
            layers: spans[..items.len()].to_vec(),
            ways: self.passes.iter().map(way).collect(),
            width: (right - left).max(0.0),
            height: f64::max(top - RISE, 0.0),
        }
    }
}

/// The layer of each box.
fn depths(items: &[Item], lines: &[Line]) -> Vec<usize> {
    let mut depth: Vec<usize> = items.iter().map(|item| (item.pin != Pin::First) as usize).collect();
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    let mut has_above = vec![false; items.len()];
    for line in lines {
        below[line.from.0].push(line.to.0);
        has_above[line.to.0] = true;
    }
    for item in 0..items.len() {
        for &other in &below[item] {
            depth[other] = depth[other].max(depth[item] + 1);
        }
    }
    // What nothing leads to stands just above its first reader.
    for item in (0..items.len()).rev() {
        if items[item].pin == Pin::Free && !has_above[item] {
            let first = below[item].iter().map(|&other| depth[other]).min();
            depth[item] = first.map_or(depth[item], |first| first.saturating_sub(1));
        }
    }
    let last = depth.iter().copied().max().unwrap_or(0);
    let is_last = |item: &Item| item.pin == Pin::Last;
    // A last layer of its own, unless nothing else is in the one that is.
    let crowded = items.iter().zip(&depth).any(|(item, &d)| d == last && !is_last(item));
    for (item, depth) in items.iter().zip(&mut depth) {
        if is_last(item) {
            *depth = last + crowded as usize;
        }
    }
    // Layers that nothing is in are left out.
    let mut used: Vec<usize> = depth.clone();
    used.sort_unstable();
    used.dedup();
    depth.iter().map(|d| used.partition_point(|u| u < d)).collect()
}

/// The places nearest to the wishes, in the sum of squares, that keep the order and the gaps.
fn nearest(wishes: &[f64], widths: &[f64]) -> Vec<f64> {
    // With all before it packed to the left, a cell would stand at its offset; what is to be found then only grows.
    let mut offsets = Vec::with_capacity(widths.len());
    let mut offset = 0.0;
    for &width in widths {
        offsets.push(offset);
        offset += width + GAP;
    }
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (&wish, offset) in wishes.iter().zip(&offsets) {
        let mut block = (wish - offset, 1);
        while let Some(&(mean, count)) = blocks.last()
            && mean > block.0
        {
            blocks.pop();
            let total = (count + block.1) as f64;
            block = (
                (mean * count as f64 + block.0 * block.1 as f64) / total,
                count + block.1,
            );
        }
        blocks.push(block);
    }
    let means = blocks
        .iter()
        .flat_map(|&(mean, count)| std::iter::repeat_n(mean, count));
    means.zip(offsets).map(|(mean, offset)| mean + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(count: usize) -> Vec<Item> {
        let item = Item {
            width: 50.0,
            height: 20.0,
            pin: Pin::Free,
        };
        vec![item; count]
    }

    fn lines(pairs: &[(usize, usize)]) -> Vec<Line> {
        let line = |&(from, to): &(usize, usize)| Line {
            from: (from, 25.0),
            to: (to, 25.0),
            strand: false,
        };
        pairs.iter().map(line).collect()
    }

    #[test]
    fn a_chain_is_straight() {
        let places = place(&boxes(3), &lines(&[(0, 1), (1, 2)]));
        assert_eq!(places.at, [(0.0, 0.0), (0.0, 58.0), (0.0, 116.0)]);
        assert_eq!((places.width, places.height), (50.0, 136.0));
    }

    #[test]
    fn no_two_boxes_overlap_and_edges_go_down() {
        // Each box reads two or three of those before it, near and far.
        let pairs: Vec<(usize, usize)> = (1..60)
            .flat_map(|i| [(i / 2, i), (i - 1, i), (i * 7 % i.max(2), i)])
            .filter(|(from, to)| from < to)
            .collect();
        let places = place(&boxes(60), &lines(&pairs));
        for (i, a) in places.at.iter().enumerate() {
            for b in &places.at[..i] {
                assert!((a.0 - b.0).abs() >= 50.0 || (a.1 - b.1).abs() >= 20.0, "{a:?} {b:?}");
            }
        }
        for (&(from, to), way) in pairs.iter().zip(&places.ways) {
            let ends = [places.at[from], places.at[to]];
            let via = &way.points;
            let heights: Vec<f64> = [ends[0].1]
                .into_iter()
                .chain(via.iter().map(|p| p.1))
                .chain([ends[1].1])
                .collect();
            assert!(heights.is_sorted(), "{heights:?}");
        }
    }

    #[test]
    fn edges_from_one_place_share_their_way() {
        let chain = (1..50).map(|i| (i, i + 1));
        let pairs: Vec<(usize, usize)> = chain.chain((1..=50).map(|i| (0, i))).collect();
        let places = place(&boxes(51), &lines(&pairs));
        let points: usize = places.ways.iter().map(|way| way.points.len()).sum();
        assert!(points < 4 * 50, "{points}");
        assert_eq!(places.ways.iter().filter(|way| way.branches).count(), 48);
    }

    #[test]
    fn pins_hold() {
        let mut items = boxes(4);
        items[1].pin = Pin::First;
        items[3].pin = Pin::Last;
        let places = place(&items, &lines(&[(0, 2), (1, 2), (0, 3)]));
        assert_eq!(places.at[1].1, 0.0);
        assert_eq!(places.at[3].1 + 20.0, places.height);
        assert!(place(&[], &[]).at.is_empty());
    }

    #[test]
    fn places_are_the_nearest() {
        assert_eq!(nearest(&[0.0, 100.0], &[50.0, 50.0]), [0.0, 100.0]);
        assert_eq!(nearest(&[0.0, 0.0], &[50.0, 50.0]), [-36.0, 36.0]);
        assert!(nearest(&[], &[]).is_empty());
    }
}
