package server

import (
	"net/http"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// Image as the endpoint shows it.
type Image struct {
	ID        string   `json:"id"`
	Tags      []string `json:"tags,omitempty"`
	Digests   []string `json:"digests,omitempty"`
	SizeBytes int64    `json:"sizeBytes"`
}

// ImageList is the answer of GET and POST /images.
type ImageList struct {
	Images []Image `json:"images"`
}

func imageList(images []*pluginv1.Image) ImageList {
	out := ImageList{Images: []Image{}}
	for _, i := range images {
		out.Images = append(out.Images, Image{ID: i.Id, Tags: i.Tags, Digests: i.Digests, SizeBytes: i.SizeBytes})
	}
	return out
}

// codeOf an error from a plugin.
func codeOf(err error) int {
	switch errs.ClassOf(err) {
	case errs.ClassNotFound:
		return http.StatusNotFound
	case errs.ClassInvalidArgument:
		return http.StatusBadRequest
	case errs.ClassFailedPrecondition, errs.ClassAlreadyExists:
		return http.StatusConflict
	case errs.ClassUnavailable, errs.ClassPluginGone:
		return http.StatusServiceUnavailable
	case errs.ClassResourceExhausted:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

func (s *Server) listImages(w http.ResponseWriter, r *http.Request) {
	rt, err := s.o.Plugins.Runtime()
	if err == nil {
		var res *pluginv1.ListImagesResponse
		if res, err = rt.ListImages(r.Context(), &pluginv1.ListImagesRequest{}); err == nil {
			s.answer(w, imageList(res.Images))
			return
		}
	}
	http.Error(w, errs.Text(err), codeOf(err))
}

// importImage reads an archive from the body; ?name= names what has no name in
// it.
func (s *Server) importImage(w http.ResponseWriter, r *http.Request) {
	rt, err := s.o.Plugins.Runtime()
	if err == nil {
		var res *pluginv1.ImportImageResponse
		req := &pluginv1.ImportImageRequest{DefaultName: r.URL.Query().Get("name")}
		if res, err = rt.ImportImage(r.Context(), req, r.Body); err == nil {
			s.answer(w, imageList(res.Images))
			return
		}
	}
	http.Error(w, errs.Text(err), codeOf(err))
}

// removeImage removes ?image=, an ID or a name.
func (s *Server) removeImage(w http.ResponseWriter, r *http.Request) {
	image := r.URL.Query().Get("image")
	if image == "" {
		http.Error(w, "the parameter image is missing", http.StatusBadRequest)
		return
	}
	rt, err := s.o.Plugins.Runtime()
	if err == nil {
		if _, err = rt.RemoveImage(r.Context(), &pluginv1.RemoveImageRequest{Image: image}); err == nil {
			s.answer(w, struct{}{})
			return
		}
	}
	http.Error(w, errs.Text(err), codeOf(err))
}
