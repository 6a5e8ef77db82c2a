//! Strongly connected components of a view: takes steps that may go in circles (groups in groups, containers in
//! containers), gives an order in which every circle is one thing and what it leads to comes first.
//!
//! What holds for all that a node leads to is then one pass over the components: no closure is written down, since in a
//! deep nesting that alone is a square. Tarjan's algorithm with a stack of its own: nesting as deep as an input likes
//! cannot overflow the program's.

use crate::paths::{Spot, Step, View};

/// Not yet seen.
const NEW: u32 = u32::MAX;

/// Which component each node is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    of: Vec<u32>,
    count: u32,
}

impl Components {
    /// Components over the steps that `admits` allows. Two nodes are in one where each leads to the other.
    pub fn new(view: &View, admits: impl Fn(&Step) -> bool) -> Self {
        let nodes = view.nodes();
        let mut walk = Walk {
            index: vec![NEW; nodes],
            low: vec![0; nodes],
            of: vec![NEW; nodes],
            open: Vec::new(),
            next: 0,
            count: 0,
        };
        for spot in view.spots() {
            if walk.index[spot.index()] == NEW {
                walk.visit(view, spot, &admits);
            }
        }
        Self { of: walk.of, count: walk.count }
    }

    /// The component of a node. A step leads into the same component or a lesser one.
    pub fn of(&self, spot: Spot) -> Option<usize> {
        self.of.get(spot.index()).map(|component| *component as usize)
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    /// For every component what `own` gives for its nodes, joined with that of all components it leads to over the steps
    /// that `admits` allows (the same as in [`Components::new`]). `join` must not care for order or repetition. O(nodes
    /// + steps).
    pub fn fold<T: Clone + Default>(
        &self,
        view: &View,
        admits: impl Fn(&Step) -> bool,
        own: impl Fn(Spot) -> T,
        join: impl Fn(T, &T) -> T,
    ) -> Vec<T> {
        let mut members: Vec<(u32, Spot)> =
            view.spots().map(|spot| (self.of.get(spot.index()).copied().unwrap_or(NEW), spot)).collect();
        members.sort_unstable();
        let mut values = vec![T::default(); self.count()];
        // What a component leads to has a lesser number: it is complete when it is looked at.
        for (component, spot) in members {
            let component = component as usize;
            let mut value = join(values[component].clone(), &own(spot));
            for (_, step) in view.out(spot).filter(|(_, step)| admits(step)) {
                let beyond = self.of[step.to.index()] as usize;
                if beyond != component {
                    value = join(value, &values[beyond]);
                }
            }
            values[component] = value;
        }
        values
    }
}

struct Walk {
    index: Vec<u32>,
    low: Vec<u32>,
    of: Vec<u32>,
    open: Vec<Spot>,
    next: u32,
    count: u32,
}

impl Walk {
    fn visit(&mut self, view: &View, start: Spot, admits: &impl Fn(&Step) -> bool) {
        self.enter(start);
        let mut stack = vec![(start, view.out(start))];
        while let Some((spot, steps)) = stack.last_mut() {
            let spot = *spot;
            match steps.next() {
                Some((_, step)) if !admits(step) => {}
                Some((_, step)) if self.index[step.to.index()] == NEW => {
                    self.enter(step.to);
                    stack.push((step.to, view.out(step.to)));
                }
                Some((_, step)) if self.of[step.to.index()] == NEW => {
                    let seen = self.index[step.to.index()];
                    self.low[spot.index()] = self.low[spot.index()].min(seen);
                }
                Some(_) => {}
                None => {
                    stack.pop();
                    self.leave(spot);
                    if let Some((parent, _)) = stack.last() {
                        self.low[parent.index()] = self.low[parent.index()].min(self.low[spot.index()]);
                    }
                }
            }
        }
    }

    fn enter(&mut self, spot: Spot) {
        self.index[spot.index()] = self.next;
        self.low[spot.index()] = self.next;
        self.next += 1;
        self.open.push(spot);
    }

    /// Closes the component that begins at `spot`, when one does.
    fn leave(&mut self, spot: Spot) {
        if self.low[spot.index()] != self.index[spot.index()] {
            return;
        }
        while let Some(member) = self.open.pop() {
            self.of[member.index()] = self.count;
            if member == spot {
                break;
            }
        }
        self.count += 1;
    }
}
