//! Accuracy in a sweep: on this host and on a board, in the very runs that are timed.

use std::path::Path;

use serde_json::Value;

use super::support::{Lab, farm, local_device, ssh_device};
use testlab::Board;

const DIGITS: &str = "
models: [digits]
weights: [trained]
dataset: digits
batch: [1, 7]
limits:
  warmup: { min_runs: 1, min_seconds: 0, max_seconds: 5 }
  measure: { min_runs: 2, max_runs: 2, min_seconds: 0, max_seconds: 60 }
";

#[test]
fn digits_are_read_on_this_host_and_on_a_board() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device(), ssh_device("board-1", &board, board.port)]));
    lab.write("configs/digits.yaml", DIGITS);
    let first = lab.sweep(&["configs/digits.yaml"]);
    first.expect_code(0);
    let rows = lab.rows();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let (n_images, top1, top5): (u64, f64, f64) =
            (row["n_images"].parse().unwrap(), row["top1"].parse().unwrap(), row["top5"].parse().unwrap());
        assert_eq!((row["status"].as_str(), row["runs"].as_str(), n_images), ("ok", "2", 360), "{row:?}");
        assert!((top1 - 350.0 / 360.0).abs() < 1e-9 && top5 >= top1, "{row:?}");
        assert!(row["top1_low"].parse::<f64>().unwrap() < top1 && row["top1_high"].parse::<f64>().unwrap() > top1);
        assert_eq!((row["dataset"].as_str(), row["images_left_out"].as_str()), ("digits", "0"));
        assert_eq!(row["preprocessing"], "grey, EXIF orientation ignored, 8×8 as it is; (x - 0) / 16; farmctl 3");
    }
    let (code, stdout, stderr) = lab.run(&["score", "latest", "--format", "json"]);
    assert_eq!(code, 0, "{stderr}");
    let score: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((score["accuracy"].as_str(), score["ranking"].as_array().unwrap().len()), (Some("measured"), 4));
    assert!(score["notes"].to_string().contains("Accuracy is of 360 images of digits."), "{}", score["notes"]);
    // Classes stay on the host: what is pushed is the network and the images, once.
    let pushed: Vec<&str> = first.named("push_started").iter().filter_map(|event| event["name"].as_str()).collect();
    assert_eq!(pushed.iter().filter(|name| **name == "images of digits").count(), 2, "{pushed:?}");
    assert_eq!(pushed.len(), 4, "{pushed:?}");
    let second = lab.sweep(&["configs/digits.yaml"]);
    second.expect_code(0);
    assert_eq!(second.pushed_bytes(), 0);
}

#[test]
fn what_is_left_out_of_a_dataset_is_told() {
    let lab = Lab::new();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/datasets/samples");
    for (sample, name) in [("colours.png", "3/a.png"), ("cmyk.jpg", "3/b.jpg"), ("grey16.png", "7/c.png")] {
        let path = lab.path("pictures").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(samples.join(sample), path).unwrap();
    }
    std::fs::create_dir_all(lab.path("pictures/9")).unwrap();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    let datasets = "datasets:\n  - { name: mine, classes: 10, folders: { path: ../pictures, numbered: true } }\n";
    lab.write("configs/datasets.yaml", datasets);
    let models = "models:\n  - name: digits\n    input_shape: [1, 1, 8, 8]\n    classes: 10\n    \
                  preprocessing: { crop: 1 }\n    weights: { trained: { builtin: digits } }\n";
    lab.write("configs/models.yaml", models);
    lab.write("configs/mine.yaml", &DIGITS.replace("dataset: digits", "dataset: mine").replace("[1, 7]", "1"));
    let (code, table, stderr) = lab.run(&["sweep", "configs/mine.yaml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("dataset mine: 1 of 3 images left out: JPEG in CMYK"), "{stderr}");
    assert!(stderr.contains("dataset mine: 8 of 10 classes have no image"), "{stderr}");
    assert!(table.contains("top-1 %") && table.contains("accuracy is of 2 images"), "{table}");
    let row = lab.rows().remove(0);
    assert_eq!((row["n_images"].as_str(), row["images_left_out"].as_str()), ("2", "1"));
    for part in ["1 left out: JPEG in CMYK", "1 changed: 16 bits made 8", "1 changed: colours made grey", "8 classes"] {
        assert!(row["images_remarks"].contains(part), "{}", row["images_remarks"]);
    }

    // Another folder than the plan saw, a wrong class, a name that nobody knows.
    std::fs::rename(lab.path("pictures/9"), lab.path("pictures/11")).unwrap();
    let (code, _, stderr) = lab.run(&["sweep", "configs/mine.yaml"]);
    assert_eq!(code, 0, "{stderr}");
    let row = lab.rows().remove(0);
    assert_eq!((row["status"].as_str(), row["n_images"].as_str()), ("ok", ""), "its time is measured all the same");
    assert!(row["remarks"].contains("the folder is none of 10 classes"), "{}", row["remarks"]);
    // None that it can take.
    std::fs::remove_dir_all(lab.path("pictures")).unwrap();
    std::fs::create_dir_all(lab.path("pictures/3")).unwrap();
    lab.write("pictures/3/a.bmp", "BM");
    let (code, _, stderr) = lab.run(&["sweep", "configs/mine.yaml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("dataset mine: failed to use"), "{stderr}");
    let row = lab.rows().remove(0);
    assert_eq!((row["status"].as_str(), row["n_images"].as_str(), row["dataset"].as_str()), ("ok", "", ""));
    let why = "all images are left out: neither JPEG nor PNG, for example 3/a.bmp";
    assert!(row["remarks"].contains("accuracy is not measured: ") && row["remarks"].contains(why), "{row:?}");
    lab.write("configs/other.yaml", &DIGITS.replace("dataset: digits", "dataset: mien"));
    let (code, _, stderr) = lab.run(&["plan", "configs/other.yaml"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("configs/other.yaml:4:10: unknown dataset `mien`"), "{stderr}");
    assert!(stderr.contains("did you mean `mine`?"), "{stderr}");
}
