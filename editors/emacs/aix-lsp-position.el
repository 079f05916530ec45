;;; aix-lsp-position.el --- Places in a buffer as the protocol counts them  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A position of the protocol is a line and a number of units within it:
;; bytes of UTF-8, pairs of bytes of UTF-16, or characters.  Its lines end
;; with a line feed, a carriage return, or both, where Emacs knows the line
;; feed alone.  All functions see the whole buffer, narrowed or not.

;;; Code:

(require 'subr-x)

(defconst aix-lsp-position--break "\r\n\\|\n\\|\r"
  "What ends a line.")

(defconst aix-lsp-position--no-unicode "[^\0-\ud7ff\ue000-\U0010ffff]"
  "Characters of Emacs that JSON cannot carry: raw bytes and the like.")

(defvar-local aix-lsp-position--returns nil
  "Whether there are carriage returns, and of which tick of the buffer that is true.")

(defun aix-lsp-position--returns-p ()
  "Whether there is a carriage return anywhere in the buffer, which is widened.
To look for one takes long in a large file: it is done once for each text."
  (let ((tick (buffer-chars-modified-tick)))
    (unless (eql tick (car aix-lsp-position--returns))
      (setq aix-lsp-position--returns
            (cons tick (save-excursion
                         (goto-char (point-min))
                         (skip-chars-forward "^\r")
                         (not (eobp))))))
    (cdr aix-lsp-position--returns)))

(defun aix-lsp-position-changed (beg end)
  "Positions were asked for just before a change that left the text from BEG to END."
  (when aix-lsp-position--returns
    (setq aix-lsp-position--returns
          (and (not (cdr aix-lsp-position--returns))
               (save-excursion
                 (save-restriction
                   (widen)
                   (goto-char beg)
                   (skip-chars-forward "^\r" end)
                   (= (point) end)))
               (list (buffer-chars-modified-tick))))))

(defun aix-lsp-position-text (beg end)
  "The text from BEG to END as it can be sent.
What is not Unicode becomes the replacement character, one for one."
  (save-restriction
    (widen)
    (let ((text (buffer-substring-no-properties beg end)))
      (save-match-data
        (if (string-match-p aix-lsp-position--no-unicode text)
            (replace-regexp-in-string aix-lsp-position--no-unicode "\ufffd" text t t)
          text)))))

(defun aix-lsp-position--units (beg end encoding)
  "How many units of ENCODING the text from BEG to END has.
ENCODING is \"utf-8\", \"utf-16\" or \"utf-32\"."
  (pcase encoding
    ("utf-32" (- end beg))
    ("utf-8" (string-bytes (aix-lsp-position-text beg end)))
    (_ (let ((units 0))
         (save-excursion
           (goto-char beg)
           (while (< (point) end)
             (setq units (+ units (if (<= #x10000 (char-after) #x10ffff) 2 1)))
             (forward-char)))
         units))))

(defun aix-lsp-position-at (pos encoding)
  "The protocol's (:line LINE :character UNITS) of the place POS in ENCODING.
Nil within a carriage return and its line feed, a place that the
protocol has no name for."
  (save-excursion
    (save-restriction
      (save-match-data
        (widen)
        (if (and (aix-lsp-position--returns-p) (progn (goto-char (point-min)) (search-forward "\r" pos t)))
            (unless (and (eq (char-before pos) ?\r) (eq (char-after pos) ?\n))
              (aix-lsp-position--among-returns pos encoding))
          (goto-char pos)
          (list :line (1- (line-number-at-pos pos t))
                :character (aix-lsp-position--units (pos-bol) pos encoding)))))))

(defun aix-lsp-position--among-returns (pos encoding)
  "As `aix-lsp-position-at' for POS and ENCODING, counting carriage returns."
  (let ((line 0) (bol (point-min)))
    (goto-char (point-min))
    (while (re-search-forward aix-lsp-position--break pos t)
      (setq line (1+ line) bol (point)))
    (list :line line :character (aix-lsp-position--units bol pos encoding))))

(defun aix-lsp-position-point (position encoding)
  "The place in the buffer of the protocol's POSITION in ENCODING.
Beyond a line's end it is that end, beyond the last line the buffer's."
  (save-excursion
    (save-restriction
      (save-match-data
        (widen)
        (goto-char (point-min))
        (let ((line (plist-get position :line))
              (units (plist-get position :character)))
          (if (aix-lsp-position--returns-p)
              (while (and (> line 0) (re-search-forward aix-lsp-position--break nil 'move))
                (setq line (1- line)))
            (setq line (forward-line line))
            (unless (or (zerop line) (bolp)) (setq line 1)))
          (if (> line 0)
              (point-max)
            (aix-lsp-position--forward units encoding)))))))

(defun aix-lsp-position--forward (units encoding)
  "The place so many UNITS of ENCODING behind point, at most the line's end."
  (let ((end (save-excursion (skip-chars-forward "^\r\n") (point))))
    (if (equal encoding "utf-32")
        (min end (+ (point) units))
      (while (and (> units 0) (< (point) end))
        (setq units (- units (aix-lsp-position--units (point) (1+ (point)) encoding)))
        (forward-char))
      ;; never into the middle of a character
      (when (< units 0) (backward-char))
      (point))))

(defun aix-lsp-position-uri (file)
  "The URI of FILE, a path."
  (let ((path (expand-file-name file)))
    (concat (if (eq system-type 'windows-nt) "file:///" "file://")
            (mapconcat (lambda (byte)
                         (if (or (<= ?a byte ?z) (<= ?A byte ?Z) (<= ?0 byte ?9) (memq byte '(?/ ?- ?_ ?. ?~)))
                             (char-to-string byte)
                           (format "%%%02X" byte)))
                       (encode-coding-string path 'utf-8-unix) ""))))

(defun aix-lsp-position-file (uri)
  "The path of URI, or nil where it names no file."
  (when (string-match "\\`file://\\(?:localhost\\)?\\(/.*\\)\\'" uri)
    (let* ((path (match-string 1 uri))
           (bytes (replace-regexp-in-string
                   "%[[:xdigit:]]\\{2\\}"
                   (lambda (found) (unibyte-string (string-to-number (substring found 1) 16)))
                   (encode-coding-string path 'utf-8-unix) t t)))
      (setq path (decode-coding-string bytes 'utf-8-unix))
      (if (and (eq system-type 'windows-nt) (string-match-p "\\`/[[:alpha:]]:" path))
          (substring path 1)
        path))))

(provide 'aix-lsp-position)
;;; aix-lsp-position.el ends here
