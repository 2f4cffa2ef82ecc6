// A button on the page of a series in Orthanc Explorer that opens the node's reading of it.
$('#series').live('pagebeforecreate', function() {
  var button = $('<a>')
      .attr('data-role', 'button')
      .attr('href', '#')
      .attr('data-icon', 'search')
      .attr('data-theme', 'e')
      .text('MR contrast check');
  button.insertBefore($('#series-delete').parent().parent());
  button.click(function() {
    if ($.mobile.pageData) {
      window.open('../mrclip/series/' + $.mobile.pageData.uuid + '/open');
    }
  });
});
