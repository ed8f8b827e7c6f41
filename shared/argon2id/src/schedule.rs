//! Which blocks are compressed into which (RFC 9106 sections 3.2 to 3.4).

use argon2::Params;

use super::block::Block;
use super::engine::Engine;

/// Argon2id, as opposed to Argon2d (0) and Argon2i (1).
pub(super) const TYPE: u32 = 2;
/// Slices of a lane. A lane may refer to the finished slices of another.
const SLICES: usize = 4;
/// How many addresses one address block contains.
const ADDRESSES: usize = 128;

/// The division of the memory.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Independent rows of blocks; we compute them one after the other.
    pub(super) lanes: usize,
    /// Blocks of a lane.
    pub(super) lane: usize,
    /// Blocks of a segment: a slice of one lane.
    segment: usize,
    /// The number of passes over the whole memory.
    passes: usize,
}

impl From<&Params> for Shape {
    fn from(params: &Params) -> Self {
        let lanes = params.p_cost() as usize;
        let segment = params.m_cost() as usize / (lanes * SLICES);
        Self { lanes, lane: segment * SLICES, segment, passes: params.t_cost() as usize }
    }
}

impl Shape {
    /// Blocks of all lanes.
    pub(super) fn blocks(self) -> usize {
        self.lanes * self.lane
    }
}

/// Fills the memory; the first two blocks of each lane are already there.
pub(super) fn fill(engine: Engine, memory: &mut [Block], shape: Shape) {
    for pass in 0..shape.passes {
        for slice in 0..SLICES {
            for lane in 0..shape.lanes {
                Segment { shape, pass, slice, lane }.fill(engine, memory);
            }
        }
    }
}

/// One segment in one pass.
#[derive(Clone, Copy)]
struct Segment {
    shape: Shape,
    pass: usize,
    slice: usize,
    lane: usize,
}

impl Segment {
    fn fill(self, engine: Engine, memory: &mut [Block]) {
        let mut addresses = self.is_data_independent().then(|| Addresses::new(self));
        // The first two blocks of each lane are already there.
        let first = if self.is_first() { 2 } else { 0 };
        let start = self.shape.lane * self.lane + self.shape.segment * self.slice;
        for n in first..self.shape.segment {
            let current = start + n;
            let previous = self.previous(current);
            let random = match &mut addresses {
                Some(addresses) => addresses.get(engine, n),
                None => memory[previous][0],
            };
            let reference = self.reference(n, random);
            #[expect(clippy::expect_used, reason = "another block in its place: a wrong hash")]
            let [previous, reference, target] = memory
                .get_disjoint_mut([previous, reference, current])
                .expect("a block refers neither to itself nor to the one before");
            engine.compress(previous, reference, target, self.pass > 0);
        }
    }

    fn is_first(self) -> bool {
        self.pass == 0 && self.slice == 0
    }

    /// Whether addresses are data-independent: in the first half of the first pass they reveal
    /// nothing about the password.
    fn is_data_independent(self) -> bool {
        self.pass == 0 && self.slice < SLICES / 2
    }

    /// The previous block; a lane is a ring.
    fn previous(self, current: usize) -> usize {
        let start = self.shape.lane * self.lane;
        if current == start { start + self.shape.lane - 1 } else { current - 1 }
    }

    /// The block that the `n`th refers to (section 3.4.2).
    fn reference(self, n: usize, random: u64) -> usize {
        let Shape { lanes, lane: length, segment, .. } = self.shape;
        let has_choice = lanes > 1 && !self.is_first();
        let lane = if has_choice { (random >> 32) as usize % lanes } else { self.lane };
        let finished = if self.pass == 0 { self.slice * segment } else { length - segment };
        let choices =
            if lane == self.lane { finished + n - 1 } else { finished - usize::from(n == 0) };
        let low = random & 0xffff_ffff;
        let back = (choices as u64 * ((low * low) >> 32)) >> 32;
        let oldest = if self.pass == 0 { 0 } else { (self.slice + 1) % SLICES * segment };
        let place = oldest + choices - 1 - back as usize;
        lane * length + if place < length { place } else { place - length }
    }
}

/// The generator of a data-independent segment's addresses.
struct Addresses {
    /// Its input block: the segment and a counter.
    input: Block,
    current: Block,
}

impl Addresses {
    fn new(Segment { shape, pass, slice, lane }: Segment) -> Self {
        let mut input = [0; 128];
        let place = [pass, lane, slice, shape.blocks(), shape.passes, TYPE as usize];
        for (word, value) in input.iter_mut().zip(place) {
            *word = value as u64;
        }
        Self { input, current: [0; 128] }
    }

    /// The pseudo-random word of the `n`th block; must be called in order.
    fn get(&mut self, engine: Engine, n: usize) -> u64 {
        // The counter is the number of address blocks so far: the first segment starts at block 2.
        if self.input[6] <= (n / ADDRESSES) as u64 {
            self.make_more(engine);
        }
        self.current[n % ADDRESSES]
    }

    fn make_more(&mut self, engine: Engine) {
        const ZERO: Block = [0; 128];
        self.input[6] += 1;
        let mut half_way = ZERO;
        engine.compress(&ZERO, &self.input, &mut half_way, false);
        engine.compress(&ZERO, &half_way, &mut self.current, false);
    }
}
