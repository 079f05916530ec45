;;; aix-lsp-test.el --- The parts of aix-lsp that need no server  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Run by tests/editors/test_emacs_package.py.

;;; Code:

(require 'ert)
(require 'aix-lsp)

(defvar aix-lsp-test--alphabet ["a" "é" "漢" "🎉" "\n" "\n" "\r\n" "\r" "\t" "x = 1"])

(defun aix-lsp-test--text (pieces)
  "Random text of so many PIECES."
  (mapconcat (lambda (_) (aref aix-lsp-test--alphabet (random (length aix-lsp-test--alphabet))))
             (number-sequence 1 pieces) ""))

(ert-deftest aix-lsp-test-a-position-leads-back-to-its-place ()
  (random "positions")
  (dolist (encoding '("utf-8" "utf-16" "utf-32"))
    (dotimes (_ 40)
      (with-temp-buffer
        (insert (aix-lsp-test--text 30))
        (dotimes (_ 20)
          (let* ((pos (+ (point-min) (random (1+ (buffer-size)))))
                 (position (aix-lsp-position-at pos encoding)))
            (if position
                (should (= pos (aix-lsp-position-point position encoding)))
              (should (and (eq (char-before pos) ?\r) (eq (char-after pos) ?\n))))))))))

(ert-deftest aix-lsp-test-positions-do-not-depend-on-narrowing ()
  (with-temp-buffer
    (insert "one\ntwo 🎉 three\n")
    (narrow-to-region 5 8)
    (should (equal (aix-lsp-position-at 10 "utf-16") '(:line 1 :character 6)))
    (should (equal (aix-lsp-position-point '(:line 1 :character 6) "utf-16") 10))))

(ert-deftest aix-lsp-test-raw-bytes-can-be-sent ()
  (with-temp-buffer
    (insert "a" (unibyte-char-to-multibyte #xff) "b" #xd800 "c")
    (let ((text (aix-lsp-position-text (point-min) (point-max))))
      (should (equal text "a\ufffdb\ufffdc"))
      (should (json-serialize text)))))

(ert-deftest aix-lsp-test-a-uri-leads-back-to-its-file ()
  (dolist (file '("/tmp/a b/ä%漢.py" "/x/+&?#.py"))
    (should (equal (aix-lsp-position-file (aix-lsp-position-uri file)) file)))
  (should-not (aix-lsp-position-file "https://example.org/x")))

(ert-deftest aix-lsp-test-a-word-takes-the-space-before-it ()
  (should (equal (aix-lsp-ghost-word "total(x)") "total"))
  (should (equal (aix-lsp-ghost-word "(x)") "("))
  (should (equal (aix-lsp-ghost-word " + snake_case, y") " +"))
  (should (equal (aix-lsp-ghost-word "\n    if x") "\n    if"))
  (should (equal (aix-lsp-ghost-word "漢字 x") "漢字")))

(ert-deftest aix-lsp-test-words-put-together-are-the-offer ()
  (random "words")
  (dotimes (_ 100)
    (let* ((text (aix-lsp-test--text 12)) (rest text) (taken ""))
      (while (not (string-empty-p rest))
        (let ((word (aix-lsp-ghost-word rest)))
          (should-not (string-empty-p word))
          (setq taken (concat taken word) rest (substring rest (length word)))))
      (should (equal taken text)))))

(ert-deftest aix-lsp-test-a-line-goes-to-its-end ()
  (should (equal (aix-lsp-ghost-line "a\nb\nc") "a"))
  (should (equal (aix-lsp-ghost-line "\nb\nc") "\nb")))

(ert-deftest aix-lsp-test-candidates-that-do-not-go-on-from-the-text-are-left-out ()
  (with-temp-buffer
    (insert "foo(b")
    (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg 1 :text "foo(x)")
                              (make-aix-lsp-candidate :beg 1 :text "foo(bar)")
                              (make-aix-lsp-candidate :beg 6 :text "az)"))
                        #'ignore)
    (should (equal (aix-lsp-ghost-text) "ar)"))
    (aix-lsp-ghost-step 1)
    (should (equal (aix-lsp-ghost-text) "az)"))
    (aix-lsp-ghost-step 1)
    (should (equal (aix-lsp-ghost-text) "ar)"))))

(ert-deftest aix-lsp-test-a-bracket-that-a-mode-closes-ends-the-offer ()
  (with-temp-buffer
    (insert "f")
    (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg 2 :text "(x)")) #'ignore)
    (insert "()")
    (backward-char)
    (should-not (aix-lsp-ghost-follow))
    (should-not (aix-lsp-ghost-text))))

(ert-deftest aix-lsp-test-an-offer-that-was-taken-in-parts-is-told-once ()
  (with-temp-buffer
    (let ((told 0))
      (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg 1 :text "a b")) (lambda (_) (setq told (1+ told))))
      (aix-lsp-ghost-accept #'aix-lsp-ghost-word)
      (should (= told 0))
      (aix-lsp-ghost-accept #'aix-lsp-ghost-word)
      (should (= told 1))
      (should (equal (buffer-string) "a b")))))

(ert-deftest aix-lsp-test-only-what-was-set-is-sent ()
  (should (zerop (hash-table-count (aix-lsp-options-collect '(machine window resource)))))
  (let ((aix-lsp-model-name "x"))
    (should (equal (json-serialize (aix-lsp-options-collect '(machine window resource)))
                   "{\"model\":{\"name\":\"x\"}}"))
    (should (zerop (hash-table-count (aix-lsp-options-collect '(window resource)))))))

(ert-deftest aix-lsp-test-a-machine-option-does-not-come-from-a-buffer ()
  (with-temp-buffer
    (setq-local aix-lsp-model-name "evil")
    (should (zerop (hash-table-count (aix-lsp-options-collect '(machine window resource) (current-buffer)))))))

(ert-deftest aix-lsp-test-keys-belong-to-others-while-nothing-is-offered ()
  (with-temp-buffer
    (let ((free (key-binding (kbd "M-n"))))
      (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg 1 :text "a")) #'ignore)
      (should (eq (key-binding (kbd "M-n")) #'aix-lsp-next))
      (should-not (eq (key-binding (kbd "TAB")) #'aix-lsp-accept))
      (aix-lsp-ghost-hide)
      (should (eq (key-binding (kbd "M-n")) free)))))

(defun aix-lsp-test-print-changes (seed encoding returns)
  "Print what is sent about a buffer that is edited at random, as JSON.
SEED makes the edits, ENCODING counts positions; with RETURNS there are
carriage returns in the text."
  (random seed)
  (let ((aix-lsp-test--alphabet (if returns aix-lsp-test--alphabet
                                  ["a" "é" "漢" "🎉" "\n" "\n" "\t" "x = 1"]))
        sent)
    (cl-letf (((symbol-function 'aix-lsp-server-ready-p) (lambda () t))
              ((symbol-function 'aix-lsp-server-encoding) (lambda () encoding))
              ((symbol-function 'aix-lsp-server-start) #'ignore)
              ((symbol-function 'aix-lsp-server-notify)
               (lambda (method params) (push (list :method (symbol-name method) :params params) sent))))
      (with-temp-buffer
        (setq buffer-file-name "/nowhere/x.py")
        (buffer-enable-undo)
        (insert (aix-lsp-test--text 20))
        (aix-lsp-document-attach)
        (dotimes (_ 60)
          (goto-char (+ (point-min) (random (1+ (buffer-size)))))
          (let ((other (+ (point-min) (random (1+ (buffer-size))))))
            (pcase (random 9)
              ((or 0 1 2) (insert (aix-lsp-test--text (1+ (random 3)))))
              (3 (delete-region (point) other))
              (4 (upcase-region (point) other))
              (5 (ignore-errors (transpose-chars 1)))
              (6 (subst-char-in-region (min (point) other) (max (point) other) ?a ?b))
              (7 (undo-boundary) (ignore-errors (primitive-undo 1 buffer-undo-list)))
              (8 (aix-lsp-document-flush)))))
        (aix-lsp-document-flush)
        (princ (decode-coding-string
                (json-serialize (list :messages (vconcat (reverse sent)) :text (buffer-string))) 'utf-8-unix))
        (set-buffer-modified-p nil)
        (setq buffer-file-name nil)))))

(provide 'aix-lsp-test)
;;; aix-lsp-test.el ends here
