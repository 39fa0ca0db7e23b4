// Package hook tells a web address of the company's own choice what people are
// told, signed so that the receiver can tell it from a forgery. A call keeps its
// delivery id over all attempts: who remembers ids takes nothing twice.
package hook

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"bihuan/internal/outbound"
)

// Hook is the address.
type Hook struct {
	URL, Secret string
	Net         outbound.Net
	Allow       outbound.Allow
}

// Send calls the address; user is whom the notices are for.
func (h Hook) Send(ctx context.Context, m outbound.Message, user int64) (string, error) {
	type notice struct {
		Event  string `json:"event"`
		Number string `json:"number,omitempty"`
		Title  string `json:"title,omitempty"`
		Text   string `json:"text"`
		URL    string `json:"url,omitempty"`
		Urgent bool   `json:"urgent"`
	}
	var ns []notice
	for _, i := range m.Items {
		ns = append(ns, notice{i.Kind, i.Number, i.Title, i.Text, i.Link, i.Urgent})
	}
	body := outbound.JSON(map[string]any{"id": m.ID, "at": m.At.UTC().Format(time.RFC3339), "user": map[string]any{"id": user, "name": m.Name}, "notices": ns})
	at := strconv.FormatInt(m.At.Unix(), 10)
	a, err := h.Net.Post(ctx, h.URL, h.Allow, http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Bihuan-Delivery": {m.ID}, "X-Bihuan-Timestamp": {at}, "X-Bihuan-Signature": {outbound.Sign(h.Secret, at, body)}}, body)
	if err != nil {
		return a.Line(), err
	}
	return a.Line(), a.Judge()
}
