package pages

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
)

// module is the path of the root module.
const module = "github.com/helseid-go/sdk"

// Problem is something that is wrong in a page.
type Problem struct {
	Page string
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.Page, p.Line, p.Text) }

func problemf(page Page, line int, format string, values ...any) Problem {
	return Problem{Page: page.Path, Line: line, Text: fmt.Sprintf(format, values...)}
}

// Links reports links of a page that lead nowhere: to a file that does not exist, to a
// heading that another of the pages does not have, or to documentation of a package or a
// name that does not exist. Nothing is fetched: addresses elsewhere must be https.
func Links(root fs.FS, page Page, pages []Page, names Names) []Problem {
	var problems []Problem
	for _, link := range page.Links {
		if text := linkProblem(root, page, link.Target, pages, names); text != "" {
			problems = append(problems, problemf(page, link.Line, "link to %s: %s", link.Target, text))
		}
	}
	return problems
}

func linkProblem(root fs.FS, page Page, target string, pages []Page, names Names) string {
	address, err := url.Parse(target)
	switch {
	case err != nil:
		return err.Error()
	case address.Scheme != "":
		return addressProblem(root, address, names)
	}
	file := page.Path
	if address.Path != "" {
		file = path.Join(path.Dir(page.Path), address.Path)
		if _, err := fs.Stat(root, file); err != nil {
			return "there is no such file"
		}
	}
	if address.Fragment == "" {
		return ""
	}
	i := slices.IndexFunc(pages, func(p Page) bool { return p.Path == file })
	if i < 0 || !slices.ContainsFunc(pages[i].Headings, func(h Heading) bool { return h.Anchor == address.Fragment }) {
		return "there is no such heading"
	}
	return ""
}

func addressProblem(root fs.FS, address *url.URL, names Names) string {
	if address.Scheme == "mailto" {
		return ""
	}
	if address.Scheme != "https" || address.Host == "" {
		return "it is not https"
	}
	if address.Host != "pkg.go.dev" {
		return ""
	}
	folder, ours := strings.CutPrefix(strings.TrimPrefix(address.Path, "/")+"/", module+"/")
	if !ours {
		return ""
	}
	folder = path.Clean(folder)
	if info, err := fs.Stat(root, folder); err != nil || !info.IsDir() {
		return "there is no such package"
	}
	if name := address.Fragment; name != "" && !strings.HasPrefix(name, "hdr-") && !names.has(folder, name) {
		return "the package has no such name"
	}
	return ""
}
