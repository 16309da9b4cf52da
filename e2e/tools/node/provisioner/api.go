package main

// The few calls of the Kubernetes API that the provisioner makes, over plain
// HTTPS with a client certificate: list, watch, create, patch, delete.

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

type api struct {
	server string
	client *http.Client
}

func newAPI(server, caFile, certificateFile, keyFile string) (*api, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
		ForceAttemptHTTP2: true,
	}
	return &api{server: server, client: &http.Client{Transport: transport}}, nil
}

// statusError is an answer other than 2xx.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d: %s", e.code, e.text) }

func hasStatus(err error, code int) bool {
	refused, ok := err.(*statusError)
	return ok && refused.code == code
}

// send makes one request; into may be nil.
func (a *api) send(method, path, contentType string, body, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, payload)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 2048))
		return &statusError{response.StatusCode, string(text)}
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func (a *api) create(path string, object any) error {
	return a.send(http.MethodPost, path, "application/json", object, nil)
}

func (a *api) mergePatch(path string, patch any) error {
	return a.send(http.MethodPatch, path, "application/merge-patch+json", patch, nil)
}

func (a *api) remove(path string) error {
	return a.send(http.MethodDelete, path, "application/json", nil, nil)
}

// follow calls replace with the whole collection and then change for each
// event, for ever; whatever goes wrong, it starts again with a list.
func follow[T any](a *api, path string, replace func([]T), change func(kind string, object T)) {
	for {
		if err := followOnce(a, path, replace, change); err != nil {
			log.Printf("watching %s: %v", path, err)
		}
		time.Sleep(time.Second)
	}
}

func followOnce[T any](a *api, path string, replace func([]T), change func(string, T)) error {
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []T `json:"items"`
	}
	if err := a.send(http.MethodGet, path, "application/json", nil, &list); err != nil {
		return err
	}
	replace(list.Items)
	response, err := a.client.Get(a.server + path + "?watch=1&resourceVersion=" + list.Metadata.ResourceVersion)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	for events := json.NewDecoder(response.Body); ; {
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.Decode(&event); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if event.Type == "ERROR" {
			return fmt.Errorf("%s", event.Object)
		}
		var object T
		if err := json.Unmarshal(event.Object, &object); err != nil {
			return err
		}
		change(event.Type, object)
	}
}
