//! The order of a removal: who follows from whom comes in, waves of groups come out. Pure.
//!
//! A group are those that follow from each other, by Tarjan's algorithm, without recursion: chains may be long. A group's
//! wave is one later than the latest of those that it follows from.

/// For each member who follows from it; in the result each is in one group of one wave.
pub(super) fn waves(followers: &[Vec<u32>]) -> Vec<Vec<Vec<u32>>> {
    let groups = groups(followers);
    let mut group_of = vec![0_usize; followers.len()];
    for (number, group) in groups.iter().enumerate() {
        for member in group {
            group_of[*member as usize] = number;
        }
    }
    // Groups come followers first: the other way round each is met after all that it follows from.
    let mut level = vec![0_usize; groups.len()];
    for number in (0..groups.len()).rev() {
        for member in &groups[number] {
            for follower in &followers[*member as usize] {
                let other = group_of[*follower as usize];
                if other != number {
                    level[other] = level[other].max(level[number] + 1);
                }
            }
        }
    }
    let mut waves = vec![Vec::new(); level.iter().max().map_or(0, |last| last + 1)];
    for (group, level) in groups.into_iter().zip(level) {
        waves[level].push(group);
    }
    waves
}

const UNSEEN: u32 = u32::MAX;

struct Search {
    order: Vec<u32>,
    lowest: Vec<u32>,
    is_open: Vec<bool>,
    open: Vec<u32>,
    next: u32,
    groups: Vec<Vec<u32>>,
}

fn groups(followers: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let count = followers.len();
    let mut search = Search {
        order: vec![UNSEEN; count],
        lowest: vec![0; count],
        is_open: vec![false; count],
        open: Vec::new(),
        next: 0,
        groups: Vec::new(),
    };
    for start in (0_u32..).take(count) {
        if search.order[start as usize] != UNSEEN {
            continue;
        }
        search.enter(start);
        let mut path = vec![(start, 0_usize)];
        while let Some((member, position)) = path.last_mut() {
            let member = *member;
            if let Some(follower) = followers[member as usize].get(*position) {
                *position += 1;
                if search.order[*follower as usize] == UNSEEN {
                    search.enter(*follower);
                    path.push((*follower, 0));
                } else if search.is_open[*follower as usize] {
                    search.reach(member, search.order[*follower as usize]);
                }
            } else {
                path.pop();
                search.leave(member);
                if let Some((before, _)) = path.last() {
                    search.reach(*before, search.lowest[member as usize]);
                }
            }
        }
    }
    search.groups
}

impl Search {
    fn enter(&mut self, member: u32) {
        self.order[member as usize] = self.next;
        self.lowest[member as usize] = self.next;
        self.is_open[member as usize] = true;
        self.open.push(member);
        self.next += 1;
    }

    fn reach(&mut self, member: u32, order: u32) {
        let lowest = &mut self.lowest[member as usize];
        *lowest = order.min(*lowest);
    }

    /// Closes the group of which the member was the first to be met.
    fn leave(&mut self, member: u32) {
        if self.lowest[member as usize] != self.order[member as usize] {
            return;
        }
        let start = self.open.iter().rposition(|it| *it == member).unwrap_or(0);
        let group = self.open.split_off(start);
        for it in &group {
            self.is_open[*it as usize] = false;
        }
        self.groups.push(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(followers: &[Vec<u32>]) -> Vec<Vec<Vec<u32>>> {
        let mut waves = waves(followers);
        for wave in &mut waves {
            for group in wave.iter_mut() {
                group.sort_unstable();
            }
            wave.sort_unstable();
        }
        waves
    }

    #[test]
    fn each_goes_after_all_that_it_follows_from() {
        // 0 -> 1 -> 2, 0 -> 2, 3 alone
        let followers = [vec![1, 2], vec![2], vec![], vec![]];
        assert_eq!(
            sorted(&followers),
            [vec![vec![0], vec![3]], vec![vec![1]], vec![vec![2]]]
        );
    }

    #[test]
    fn those_that_follow_from_each_other_go_together() {
        // 0 -> 1 <-> 2 -> 3
        let followers = [vec![1], vec![2], vec![1, 3], vec![]];
        assert_eq!(
            sorted(&followers),
            [vec![vec![0]], vec![vec![1, 2]], vec![vec![3]]]
        );
    }

    #[test]
    fn a_chain_of_any_length_needs_no_stack() {
        let followers: Vec<Vec<u32>> = (1..200_000).map(|next| vec![next]).chain([vec![]]).collect();
        assert_eq!(waves(&followers).len(), 200_000);
    }

    #[test]
    fn where_nothing_goes_there_are_no_waves() {
        assert!(waves(&[]).is_empty());
    }
}
