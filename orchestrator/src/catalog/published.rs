use std::sync::OnceLock;

pub use crate::domain::PublishedNetwork;

/// Every network of `configs/published-networks.csv` as it was when the program was built, in the order of the names.
pub fn published_networks() -> &'static [PublishedNetwork] {
    static NETWORKS: OnceLock<Vec<PublishedNetwork>> = OnceLock::new();
    NETWORKS.get_or_init(|| {
        read(include_str!("../../../configs/published-networks.csv")).expect("the committed file is right")
    })
}

/// The published figures of the network of that name.
pub fn published_network(name: &str) -> Option<&'static PublishedNetwork> {
    published_networks().iter().find(|network| network.name == name)
}

fn read(text: &str) -> Result<Vec<PublishedNetwork>, csv::Error> {
    csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes()).deserialize().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_file_is_read_whole_and_makes_sense() {
        let networks = published_networks();
        assert_eq!(networks.len(), 50);
        assert!(networks.is_sorted_by(|left, right| left.name < right.name));
        for network in networks {
            let name = &network.name;
            assert!((224..=380).contains(&network.input_px), "{name}");
            // A MAC count mistaken for FLOPs, or for millions of them, is out of this range.
            assert!((40_000_000..=25_000_000_000).contains(&network.macs), "{name}");
            assert!(network.params.is_none_or(|params| (1_000_000..=150_000_000).contains(&params)), "{name}");
            let top1 = network.top1_percent;
            assert!((50.0..=90.0).contains(&top1), "{name}");
            assert!(network.top5_percent.is_none_or(|top5| top5 > top1 && top5 < 100.0), "{name}");
            assert!(!network.source.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_network_is_found_by_its_name() {
        let network = published_network("mobilenet_v2").unwrap();
        let figures = (network.params, network.macs, network.top1_percent, network.top5_percent);
        assert_eq!(figures, (Some(3_504_872), 301_000_000, 71.878, Some(90.286)));
        assert_eq!(published_network("mobilenet"), None);
    }

    #[test]
    fn a_line_that_lacks_a_figure_is_refused() {
        let header = "name,input_px,params,macs,top1_percent,top5_percent,source\n";
        assert!(read(&format!("{header}net,224,,,70.0,,paper\n")).is_err());
        assert!(read(&format!("{header}net,224,,1,70.0,,paper\n")).is_ok());
    }
}
