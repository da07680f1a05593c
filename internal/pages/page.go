package pages

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Page is a Markdown file.
type Page struct {
	Path     string // from the root of the repository, with slashes
	Headings []Heading
	Blocks   []Block
	Links    []Link
	Spans    []Span
	Lines    []string
}

// Heading is a heading with its anchor, as GitHub makes it.
type Heading struct {
	Level        int
	Text, Anchor string
}

// Block is a fenced block.
type Block struct {
	Line     int    // of its opening fence, from 1
	Language string // the word after the fence
	Source   string // the file and region that it is a copy of, or ""
	Text     string // with a final line end
}

// Link is a link or an image.
type Link struct {
	Line   int
	Target string
}

// Span is code within a line, without its backquotes.
type Span struct {
	Line int
	Text string
}

var (
	heading   = regexp.MustCompile(`^(#{1,6}) +(.*)$`)
	fence     = regexp.MustCompile("^ *```([a-z]*)$")
	source    = regexp.MustCompile(`^ *<!-- ([\w./-]+(?:#[\w-]+)?) -->$`)
	span      = regexp.MustCompile("`([^`]+)`")
	linkStart = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	linkText  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// Parse reads a page.
func Parse(path, text string) Page {
	page := Page{Path: path, Lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")}
	anchors := make(map[string]int)
	var block *Block
	above := ""
	for i, line := range page.Lines {
		number := i + 1
		opened := fence.FindStringSubmatch(line)
		switch {
		case block != nil && opened != nil:
			page.Blocks = append(page.Blocks, *block)
			block = nil
		case block != nil:
			block.Text += line + "\n"
		case opened != nil:
			block = &Block{Line: number, Language: opened[1]}
			if named := source.FindStringSubmatch(above); named != nil {
				block.Source = named[1]
			}
		default:
			page.prose(number, line, anchors)
		}
		above = line
	}
	return page
}

// prose reads a line outside of code blocks.
func (p *Page) prose(number int, line string, anchors map[string]int) {
	for _, found := range span.FindAllStringSubmatch(line, -1) {
		p.Spans = append(p.Spans, Span{Line: number, Text: found[1]})
	}
	for _, found := range linkStart.FindAllStringSubmatch(span.ReplaceAllString(line, "x"), -1) {
		p.Links = append(p.Links, Link{Line: number, Target: found[1]})
	}
	if found := heading.FindStringSubmatch(line); found != nil {
		text := found[2]
		anchor := anchorOf(text)
		if n := anchors[anchor]; n > 0 {
			anchors[anchor]++
			anchor += "-" + strconv.Itoa(n)
		} else {
			anchors[anchor] = 1
		}
		p.Headings = append(p.Headings, Heading{Level: len(found[1]), Text: text, Anchor: anchor})
	}
}

// anchorOf makes an anchor of a heading as GitHub does: letters, digits, hyphens and
// underscores stay, in lower case, and spaces become hyphens.
func anchorOf(text string) string {
	text = linkText.ReplaceAllString(text, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}
