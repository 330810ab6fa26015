package conformance

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Outcome of a check.
type Outcome string

// The outcomes.
const (
	Pass    Outcome = "pass"
	Fail    Outcome = "fail"
	Skipped Outcome = "skip"
)

// Result is what one check found.
type Result struct {
	ID       string  `json:"id"`
	Sentence string  `json:"sentence"`
	Outcome  Outcome `json:"outcome"`
	// Detail says what went wrong, or why the check was skipped.
	Detail  string  `json:"detail,omitempty"`
	Seconds float64 `json:"seconds"`
}

func newResult(check Check, err error, took time.Duration) Result {
	r := Result{ID: check.ID, Sentence: check.Sentence, Outcome: Pass, Seconds: took.Seconds()}
	if err == nil {
		return r
	}
	if why, ok := skipReason(err); ok {
		r.Outcome, r.Detail = Skipped, why
		return r
	}
	r.Outcome, r.Detail = Fail, errs.Text(err)
	return r
}

// Report is what a run found.
type Report struct {
	Executable   string    `json:"executable"`
	Type         string    `json:"type,omitempty"`
	Name         string    `json:"name,omitempty"`
	Version      string    `json:"version,omitempty"`
	Capabilities []string  `json:"capabilities,omitempty"`
	Started      time.Time `json:"started"`
	Results      []Result  `json:"results"`
}

func (r *Report) describe(d *pluginv1.DescribeResponse) {
	r.Type, r.Name, r.Version = plugin.TypeName(d.GetType()), d.GetName(), d.GetVersion()
	r.Capabilities = d.GetCapabilities()
}

// add puts a result first.
func (r *Report) add(check Check, err error, took time.Duration) {
	r.Results = append([]Result{newResult(check, err, took)}, r.Results...)
}

// Count returns how many checks had an outcome.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, result := range r.Results {
		if result.Outcome == o {
			n++
		}
	}
	return n
}

// Conforms reports whether no check failed.
func (r Report) Conforms() bool { return r.Count(Fail) == 0 }

// WriteText writes the report for a person.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s/%s %s\n", r.Executable, r.Type, r.Name, r.Version)
	for _, result := range r.Results {
		fmt.Fprintf(&b, "%-4s  %-36s %s\n", result.Outcome, result.ID, result.Sentence)
		if result.Detail != "" {
			fmt.Fprintf(&b, "      %s\n", strings.ReplaceAll(result.Detail, "\n", "\n      "))
		}
	}
	fmt.Fprintf(&b, "%d passed, %d failed, %d skipped\n", r.Count(Pass), r.Count(Fail), r.Count(Skipped))
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the report as JSON.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     float64     `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Time    float64    `xml:"time,attr"`
	Failure *junitText `xml:"failure"`
	Skipped *junitText `xml:"skipped"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report in the XML form that CI systems read.
func (r Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{
		Name:     r.Type + "/" + r.Name,
		Tests:    len(r.Results),
		Failures: r.Count(Fail),
		Skipped:  r.Count(Skipped),
	}
	for _, result := range r.Results {
		c := junitCase{Class: suite.Name, Name: result.ID, Time: result.Seconds}
		suite.Time += result.Seconds
		switch result.Outcome {
		case Fail:
			c.Failure = &junitText{Message: result.Sentence, Text: xmlText(result.Detail)}
		case Skipped:
			c.Skipped = &junitText{Message: xmlText(result.Detail)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// xmlText drops the control characters that XML can't carry.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}
