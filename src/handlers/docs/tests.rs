use super::*;

/// The page without the texts of its scripts and style sheets: what a browser reads as markup.
fn markup(html: &str) -> String {
    ["script", "style"].into_iter().fold(html.to_owned(), |html, element| {
        let (start, end) = (format!("<{element}>"), format!("</{element}>"));
        let mut rest = html.as_str();
        let mut markup = String::new();
        while let Some((before, inside)) = rest.split_once(&start) {
            markup.push_str(before);
            markup.push_str(&start);
            rest = inside.split_once(&end).expect("the element is closed").1;
        }
        markup + rest
    })
}

fn pages() -> [(&'static Page, &'static str); 2] {
    [swagger_page(), redoc_page()].map(|page| (page, std::str::from_utf8(&page.html).expect("UTF-8")))
}

#[test]
fn a_page_is_whole_in_itself() {
    for (_, html) in pages() {
        let markup = markup(html);
        assert!(!markup.contains("http"), "no link to another host in {markup}");
        assert!(!markup.contains(" src="), "no script or image of its own in {markup}");
        assert!(markup.contains("</html>"), "the page is complete: {markup}");
        for elsewhere in ["cdn.redoc.ly", "fonts.googleapis", "unpkg.com", "jsdelivr", "@import", "url(http"]
        {
            assert!(!html.contains(elsewhere), "{elsewhere}");
        }
    }
}

#[test]
fn a_page_shows_the_document_of_this_gateway() {
    for (_, html) in pages() {
        assert!(html.contains(&format!("<title>{TITLE}</title>")));
        assert!(
            html.contains(&format!("'{DOCUMENT_PATH}'")) || html.contains(&format!("\"{DOCUMENT_PATH}\""))
        );
    }
}

#[test]
fn the_policy_names_each_script_of_the_page_and_no_other_source() {
    for (page, html) in pages() {
        let script_source =
            page.csp.split("; ").find(|rule| rule.starts_with("script-src ")).expect("a rule");
        let allowed: Vec<_> = script_source.split(' ').skip(1).collect();
        assert!(allowed.iter().all(|source| source.starts_with("'sha256-")), "{script_source}");
        assert_eq!(allowed.len(), markup(html).matches("<script>").count());
        assert!(page.csp.starts_with("default-src 'none'; "));
        assert!(!page.csp.contains("http") && !page.csp.contains('*'), "{}", page.csp);
    }
}

/// A browser turns CRLF into LF before it hashes, and would then refuse the script.
#[test]
fn no_script_holds_a_carriage_return() {
    for (_, html) in pages() {
        assert!(inline_scripts(html).all(|script| !script.contains('\r')));
    }
}

#[test]
fn a_page_is_built_once_and_known_by_its_tag() {
    assert!(std::ptr::eq(swagger_page(), swagger_page()));
    assert_eq!(swagger_page().html.as_ptr(), swagger_page().html.clone().as_ptr());
    assert_ne!(swagger_page().etag, redoc_page().etag);
    assert!(swagger_page().etag.starts_with('"') && swagger_page().etag.ends_with('"'));
}
