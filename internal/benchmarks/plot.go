package main

import (
	"bytes"
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plotted are the rows in the plot, with what stands below them.
var plotted = []struct{ row, label string }{
	{rowProof, "make a proof"},
	{rowVerify, "verify a proof"},
	{rowToken3072, "validate a token"},
	{rowRequestSeen, "whole request"},
}

const sdkName = "this SDK"

// colours are those of Okabe and Ito, which can be told apart with any kind of
// colour vision.
var colours = map[string]color.Color{
	sdkName:      color.RGBA{0x00, 0x72, 0xb2, 0xff},
	"golang-jwt": color.RGBA{0xe6, 0x9f, 0x00, 0xff},
	"go-jose":    color.RGBA{0x00, 0x9e, 0x73, 0xff},
	"jwx":        color.RGBA{0xcc, 0x79, 0xa7, 0xff},
	"go-oidc":    color.RGBA{0x56, 0xb4, 0xe9, 0xff},
	"auth0":      color.RGBA{0xd5, 0x5e, 0x00, 0xff},
}

var sans = font.Font{Typeface: "Liberation", Variant: "Sans"}

// plotRows writes an SVG, 800 px wide: how much of the throughput of the bare
// cryptography is left, with how often in a second that is above each bar. Bars
// come from ratios, as the table's do.
func plotRows(file string, rows []*row) error {
	p := emptyPlot()
	byName := make(map[string]*row)
	for _, r := range rows {
		byName[r.name] = r
	}
	series := append([]string{sdkName}, columns[:len(columns)-1]...) // x/oauth2 does none of these
	inLegend := make(map[string]bool)
	var numbers plotter.XYLabels
	const width = 0.145 // of a group
	for i, place := range plotted {
		r := byName[place.row]
		var names []string
		tasks := map[string]*task{sdkName: r.ours}
		for _, name := range series {
			if r.peers[name] != nil {
				tasks[name] = r.peers[name]
			}
			if tasks[name] != nil {
				names = append(names, name)
			}
		}
		for j, name := range names {
			times := ratio(tasks[name], r.bare)
			x := float64(i) + width*(float64(j)-float64(len(names)-1)/2)
			bar, err := plotter.NewPolygon(plotter.XYs{
				{X: x - 0.45*width, Y: 0}, {X: x - 0.45*width, Y: 100 / times}, {X: x + 0.45*width, Y: 100 / times}, {X: x + 0.45*width, Y: 0},
			})
			if err != nil {
				return err
			}
			bar.Color = colours[name]
			bar.LineStyle.Width = 0
			p.Add(bar)
			numbers.XYs = append(numbers.XYs, plotter.XY{X: x, Y: 100/times + 1})
			numbers.Labels = append(numbers.Labels, thousands(1e9/(r.bare.time()*times)))
			if !inLegend[name] {
				inLegend[name] = true
				p.Legend.Add(name, bar)
			}
		}
	}
	labels, err := plotter.NewLabels(numbers)
	if err != nil {
		return err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font = sans
		labels.TextStyle[i].Font.Size = vg.Points(8)
		labels.TextStyle[i].XAlign = -0.5
	}
	p.Add(labels)
	return save(p, file)
}

func emptyPlot() *plot.Plot {
	plot.DefaultFont = sans
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = "Throughput of one core, in per cent of the bare cryptography (higher is better)"
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.Title.Padding = vg.Points(8)
	p.Y.Label.Text = "per cent; above the bars: times per second"
	p.Y.Label.TextStyle.Font.Size = vg.Points(11)
	p.Y.Tick.Label.Font.Size = vg.Points(11)
	p.X.Tick.Label.Font.Size = vg.Points(12)
	p.Legend.Top = true
	p.Legend.TextStyle.Font.Size = vg.Points(12)
	p.Legend.Padding = vg.Points(4)
	p.Legend.ThumbnailWidth = vg.Points(14)
	p.Legend.YPosition = -0.5

	var ticks []plot.Tick
	for percent := 0; percent <= 100; percent += 20 {
		ticks = append(ticks, plot.Tick{Value: float64(percent), Label: fmt.Sprint(percent)})
	}
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.Gray{0xd0}
	p.Add(grid)
	names := make([]string, len(plotted))
	for i, place := range plotted {
		names[i] = place.label
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(plotted))+0.25 // the legend stands on the right
	p.Y.Min, p.Y.Max = 0, 105
	return p
}

// thousands writes a number of operations with two digits.
func thousands(n float64) string {
	if n >= 9950 {
		return fmt.Sprintf("%.0fk", n/1000)
	}
	return fmt.Sprintf("%.1fk", n/1000)
}

// save adds fonts for those who have not the one that it was laid out with.
func save(p *plot.Plot, file string) error {
	const pixel = 0.75 // points
	canvas := vgsvg.New(vg.Points(800*pixel), vg.Points(440*pixel))
	const margin = 10
	whole := draw.New(canvas)
	whole.FillPolygon(p.BackgroundColor, []vg.Point{{}, {X: whole.Max.X}, whole.Max, {Y: whole.Max.Y}})
	p.Draw(draw.Crop(whole, vg.Points(margin), -vg.Points(margin), vg.Points(margin), -vg.Points(margin)))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return err
	}
	svg := bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
	return os.WriteFile(file, svg, 0o644)
}
