use crate::domain::MeasuredAccuracy;

/// Images whose class counts as found when it is among so many answers.
const TOP: usize = 5;

/// How often a network's answers, the best first, are the images' classes. An image without an answer is a wrong one.
/// The answer of the first class has `label_offset` others before it, which are no image's class.
pub fn count_right(best: &[Vec<u32>], labels: &[u32], label_offset: u32) -> MeasuredAccuracy {
    let right = |most: usize| {
        let is_class = |answer: &u32, label: u32| answer.checked_sub(label_offset) == Some(label);
        let is_right = |(best, label): (&Vec<u32>, &u32)| best.iter().take(most).any(|answer| is_class(answer, *label));
        best.iter().zip(labels).filter(|(best, label)| is_right((best, label))).count() as u64
    };
    MeasuredAccuracy { n_images: labels.len() as u64, top1_correct: right(1), top5_correct: right(TOP) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_first_five_count() {
        let best = [vec![3, 1], vec![1, 2, 3, 4, 5], vec![1, 2, 4, 5, 6, 3], vec![]];
        let accuracy = count_right(&best, &[3; 4], 0);
        assert_eq!((accuracy.n_images, accuracy.top1_correct, accuracy.top5_correct), (4, 1, 2));
        // What was never answered is not right.
        assert_eq!(count_right(&[], &[1, 2], 0).n_images, 2);
        // With «background» before the first class.
        let accuracy = count_right(&[vec![4, 1], vec![0, 4], vec![3]], &[3; 3], 1);
        assert_eq!((accuracy.top1_correct, accuracy.top5_correct), (1, 2));
    }
}
