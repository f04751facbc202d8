//! How accurate the network was, on which images.

use crate::domain::{JobDataset, PreparedImages, Remark};
use crate::score::wilson_95;

use super::row::{accuracy, share};
use super::{Column, ColumnKind, Row};

/// How many images were classified as they should be.
pub(super) const ACCURACY: &[Column] = &[
    Column {
        name: "n_images",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Images with a known class that the network was shown in this run; empty where accuracy was not \
            measured.",
        value: |row| accuracy(row).map(|accuracy| accuracy.n_images).into(),
    },
    Column {
        name: "top1",
        kind: ColumnKind::Number,
        unit: "",
        description: "Share of them whose class was the network's first answer, from 0 to 1.",
        value: |row| row.top1().into(),
    },
    Column {
        name: "top5",
        kind: ColumnKind::Number,
        unit: "",
        description: "Share of them whose class was among its first five answers.",
        value: |row| accuracy(row).and_then(|accuracy| share(accuracy.top5_correct, accuracy.n_images)).into(),
    },
    Column {
        name: "top1_low",
        kind: ColumnKind::Number,
        unit: "",
        description: "Low end of top1's interval of 95 % (Wilson): what so few images leave open.",
        value: |row| top1_interval(row).map(|(low, _)| low).into(),
    },
    Column {
        name: "top1_high",
        kind: ColumnKind::Number,
        unit: "",
        description: "High end of it.",
        value: |row| top1_interval(row).map(|(_, high)| high).into(),
    },
];

/// The images that accuracy was measured on.
pub(super) const DATASET: &[Column] = &[
    Column {
        name: "top5_low",
        kind: ColumnKind::Number,
        unit: "",
        description: "Low end of top5's interval of 95 % (Wilson).",
        value: |row| top5_interval(row).map(|(low, _)| low).into(),
    },
    Column {
        name: "top5_high",
        kind: ColumnKind::Number,
        unit: "",
        description: "High end of it.",
        value: |row| top5_interval(row).map(|(_, high)| high).into(),
    },
    Column {
        name: "dataset",
        kind: ColumnKind::Text,
        unit: "",
        description: "Images that accuracy was measured on, in the measuring process of this very run, after its \
            timed loop.",
        value: |row| dataset(row).map(|dataset| dataset.name.as_str()).into(),
    },
    Column {
        name: "dataset_sha256",
        kind: ColumnKind::Text,
        unit: "",
        description: "SHA-256 of the list of its images: path, class and SHA-256 of each.",
        value: |row| dataset(row).map(|dataset| dataset.list_sha256.as_str()).into(),
    },
    Column {
        name: "preprocessing",
        kind: ColumnKind::Text,
        unit: "",
        description: "How its pictures became the network's input, with the version of the code that did it, and \
            which answers were counted.",
        value: |row| dataset(row).map(JobDataset::text).into(),
    },
    Column {
        name: "images_sha256",
        kind: ColumnKind::Text,
        unit: "",
        description: "SHA-256 of the bytes that came of it, before they were normalised: runs that share it saw the \
            same images.",
        value: |row| prepared(row).map(|prepared| prepared.images.sha256.as_str()).into(),
    },
    Column {
        name: "images_left_out",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Images of the dataset that the network was not shown.",
        value: |row| prepared(row).map(left_out).into(),
    },
    Column {
        name: "images_remarks",
        kind: ColumnKind::Text,
        unit: "",
        description: "Why they were left out, what was done to others besides, and classes that had no image, \
            separated by semicolons.",
        value: |row| prepared(row).map(remarks).into(),
    },
];

fn top1_interval(row: &Row<'_>) -> Option<(f64, f64)> {
    accuracy(row).and_then(|accuracy| wilson_95(accuracy.top1_correct, accuracy.n_images))
}

fn top5_interval(row: &Row<'_>) -> Option<(f64, f64)> {
    accuracy(row).and_then(|accuracy| wilson_95(accuracy.top5_correct, accuracy.n_images))
}

fn dataset<'a>(row: &Row<'a>) -> Option<&'a JobDataset> {
    row.record.job.dataset.as_ref()
}

fn prepared<'a>(row: &Row<'a>) -> Option<&'a PreparedImages> {
    dataset(row)?.prepared.as_ref()
}

fn left_out(prepared: &PreparedImages) -> u64 {
    prepared.left_out.iter().map(|remark| u64::from(remark.count)).sum()
}

pub(in crate::report) fn remarks(prepared: &PreparedImages) -> String {
    let said = |kind: &str, remark: &Remark| format!("{} {kind}: {}", remark.count, remark.what);
    let left_out = prepared.left_out.iter().map(|remark| said("left out", remark));
    let changed = prepared.changed.iter().map(|remark| said("changed", remark));
    let empty = (prepared.empty_classes > 0).then(|| format!("{} classes without an image", prepared.empty_classes));
    left_out.chain(changed).chain(empty).collect::<Vec<_>>().join("; ")
}
