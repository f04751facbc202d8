//! Classes that may be wrong are told; those that can't be right are refused.

use super::*;

impl Scratch {
    /// Folders of these names, each with a picture of its own.
    fn folders(&self, names: &[&str]) {
        let _ = fs::remove_dir_all(self.folder.path().join("set"));
        for name in names {
            self.write(&format!("set/{name}/1.png"), &[COLOURS, name.as_bytes()].concat());
        }
    }

    fn of_folders(&self, numbered: bool, classes: Option<u32>) -> Result<Vec<String>, String> {
        self.doubts(&dataset(DatasetOrigin::Folders { path: self.folder.path().join("set"), numbered }, classes))
    }

    fn of_list(&self, text: &str, classes: u32) -> Result<Vec<String>, String> {
        let path = self.write("val.txt", text.as_bytes());
        self.doubts(&dataset(DatasetOrigin::List { path, folder: self.folder.path().join("set") }, Some(classes)))
    }

    fn of_table(&self, text: &str, shape: [u32; 3], label: LabelColumn) -> Result<Vec<String>, String> {
        let (path, label) = (self.write("t.csv", text.as_bytes()), Some(label));
        self.doubts(&dataset(DatasetOrigin::Csv { path, shape, skip: 0, label }, Some(4)))
    }

    fn doubts(&self, dataset: &CatalogDataset) -> Result<Vec<String>, String> {
        let list = self.datasets.list(dataset, far(), &mut |_| {});
        list.map(|list| list.doubts).map_err(|error| error.to_string())
    }
}

/// Holds what was said against its parts, one for each doubt.
fn assert_said(doubts: &Result<Vec<String>, String>, parts: &[&str]) {
    let doubts = doubts.as_ref().unwrap();
    let is_said = |(doubt, part): (&String, &&str)| doubt.contains(*part);
    assert!(doubts.len() == parts.len() && doubts.iter().zip(parts).all(is_said), "{parts:?} in {doubts:?}");
}

#[test]
fn folders_that_are_numbers_in_another_order_or_with_gaps_are_told() {
    let scratch = Scratch::new();
    let cases: [(&[&str], &[&str]); 7] = [
        (
            &["1", "2", "10"],
            &["in the order of their letters, 1, 10, 2; if the numbers are the order, write them with"],
        ),
        (&["0", "1", "2", "10"], &["0, 1, 10, 2; if they are the classes' numbers, write `numbered: true`"]),
        (&["c1", "c2", "c10"], &["in the order of their letters, c1, c10, c2"]),
        (&["0", "1", "3"], &["the folder 3 is taken for class 2, since not all numbers are there (0, 1, 3)"]),
        (&["1", "2", "3"], &[]),
        (&["000", "001", "002"], &[]),
        (&["n01440764", "n01443537", "zebra"], &[]),
    ];
    for (names, parts) in cases {
        scratch.folders(names);
        assert_said(&scratch.of_folders(false, None), parts);
        assert_said(&scratch.of_folders(true, Some(11)).or(Ok(Vec::new())), &[]);
    }
}

#[test]
fn folders_of_which_nobody_knows_the_class_are_refused() {
    let scratch = Scratch::new();
    scratch.folders(&["0", "1", "3"]);
    let error = scratch.of_folders(false, Some(4)).unwrap_err();
    assert!(error.contains("it has 3 folders, the dataset 4 classes") && error.contains("`numbered: true`"), "{error}");
    assert_said(&scratch.of_folders(true, Some(4)), &[]);
    scratch.folders(&["1", "01"]);
    let error = scratch.of_folders(true, Some(4)).unwrap_err();
    assert!(error.contains("the folders 01 and 1 are of one class"), "{error}");
}

#[test]
fn a_list_that_counts_from_one_names_a_file_twice_or_contradicts_itself() {
    let scratch = Scratch::new();
    let lines = |class: fn(u32) -> u32| -> String { (0..20).map(|n| format!("{n}.png {}\n", class(n))).collect() };
    (0..20).for_each(|n| drop(scratch.write(&format!("set/{n}.png"), &[n])));
    let right = lines(|n| n % 5);
    assert_said(&scratch.of_list(&right, 5), &[]);
    let doubts = scratch.of_list(&lines(|n| n % 4 + 1), 5);
    assert_said(&doubts, &["class 0 has no image, and 4 others have: do the numbers of the classes begin with 1?"]);
    assert_said(&scratch.of_list(&lines(|n| n % 2 + 3), 5), &[]);
    let twice = scratch.of_list(&format!("{right}{right}"), 5);
    assert_said(
        &twice,
        &["20 of 40 images are the same as one before, of the same class, and count again, for example 0.png"],
    );
    let error = scratch.of_list(&format!("{right}./0.png 1\n"), 5).unwrap_err();
    assert!(error.contains("val.txt:21: 0.png is of class 1 here and of class 0 in line 1"), "{error}");
    // The same picture under another name.
    scratch.write("set/other.png", &[0]);
    let other = scratch.of_list(&format!("{right}other.png 1\n"), 5);
    assert_said(&other, &["1 of 21 images are the same as one before, of another class, for example other.png"]);
    assert_said(&scratch.of_list(&lines(|n| u32::from(n == 30)), 5), &["20 of 20 images are of class 0"]);
}

#[test]
fn a_list_may_begin_with_a_byte_order_mark_and_its_paths_with_a_dot() {
    let scratch = Scratch::new();
    scratch.write("set/2/0.png", COLOURS);
    scratch.write("set/1.png", JPEG);
    let path = scratch.write("val.txt", "\u{feff}./2/0.png 2\n1.png 1\n".as_bytes());
    let list = dataset(DatasetOrigin::List { path, folder: scratch.folder.path().join("set") }, Some(3));
    let prepared = scratch.prepare(&list, crop(), [16, 16, 3]);
    assert_eq!((scratch.labels(&prepared), prepared.left_out.len()), (vec![2, 1], 0));
}

#[test]
fn a_named_column_that_is_hardly_one_of_classes_is_told() {
    let scratch = Scratch::new();
    let zeros = rows(|[a, b], class| format!("{b},{a},{class}"));
    let doubts = scratch.of_table(&zeros, [1, 2, 1], LabelColumn::First).unwrap();
    let told = "39 of 40 images are of class 0: does the class really stand in the first column, as `label` says?";
    assert!(doubts.iter().any(|doubt| doubt == told), "{doubts:?}");
}

#[test]
fn a_header_that_counts_the_columns_is_no_image() {
    let scratch = Scratch::new();
    let image = |class: u32, byte: u32| format!("{class}{}\n", format!(",{byte}").repeat(300));
    let images = format!("{}{}", image(1, 7), image(2, 8));
    let counted = |first: u32| (first..first + 301).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    for (header, label) in [(counted(0), LabelColumn::First), (counted(1), LabelColumn::Last)] {
        let error = scratch.of_table(&format!("{header}\n{images}"), [10, 10, 3], label).unwrap_err();
        assert!(error.contains("t.csv:1: this is a header (") && error.contains("write `skip: 1`"), "{error}");
    }
    // One that could be an image by its bytes.
    let small = "0,1,2,3,4,5,6,7,8\n1,0,0,0,0,0,0,0,0\n";
    assert!(scratch.of_table(small, [2, 2, 2], LabelColumn::First).unwrap_err().contains("this is a header"));
    assert_said(&scratch.of_table(&images, [10, 10, 3], LabelColumn::First), &[]);
}
